//! One connection to either database: how it is set up, and how it runs statements. Futures are boxed where they
//! leave this file: otherwise each crate that awaits one would compile it again, with the driver in it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::future::BoxFuture;
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, Postgres, Sqlite, SqliteConnection,
    postgres::{PgArguments, PgConnectOptions},
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions},
};
use tokio_util::task::TaskTracker;

use crate::{
    Row, StatementTimeout, Value,
    priority::Priority,
    value::{bind_postgres, bind_sqlite},
};

/// After this many virtual-machine instructions SQLite checks whether the statement was interrupted.
const INSTRUCTIONS: i32 = 10_000;

/// An acknowledged write is durable, whatever the server's default is; stronger settings are not changed.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The server ends a statement within a second after its client has disconnected. Servers on some operating systems
/// cannot do this and refuse the setting.
const CHECK_CLIENT: &str = "SET client_connection_check_interval = '1s'";

/// A connection of the pool.
#[derive(Debug)]
pub(crate) enum Session {
    Postgres {
        connection: PgConnection,
        /// The current `statement_timeout` of the session.
        statement_timeout: StatementTimeout,
    },
    Sqlite {
        connection: SqliteConnection,
        /// Ends the running statement, and every later one until it is set to false.
        interrupt: Arc<AtomicBool>,
    },
}

impl Session {
    pub(crate) fn connect_postgres(options: &PgConnectOptions) -> BoxFuture<'_, Result<Self, sqlx::Error>> {
        Box::pin(async move {
            Ok(Self::Postgres {
                connection: connect_postgres(options).await?,
                statement_timeout: StatementTimeout::Request,
            })
        })
    }

    pub(crate) fn connect_sqlite<'a>(
        options: &'a SqliteConnectOptions,
        priority: Priority,
        ending: &'a TaskTracker,
    ) -> BoxFuture<'a, Result<Self, sqlx::Error>> {
        Box::pin(async move {
            let mut connection = priority.connect(options, ending).await?;
            let interrupt = Arc::new(AtomicBool::new(false));
            let wanted = {
                let interrupt = Arc::clone(&interrupt);
                move || !interrupt.load(Ordering::Relaxed)
            };
            connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS, wanted);
            Ok(Self::Sqlite { connection, interrupt })
        })
    }

    /// Whether the server ends statements after `wanted`; for SQLite only this process does.
    pub(crate) fn has_statement_timeout(&self, wanted: StatementTimeout) -> bool {
        match self {
            Self::Postgres { statement_timeout, .. } => *statement_timeout == wanted,
            Self::Sqlite { .. } => true,
        }
    }

    /// Sets the time limit on the server, too, because a frozen client cannot end a statement.
    pub(crate) fn set_statement_timeout(
        &mut self,
        wanted: StatementTimeout,
    ) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        Box::pin(async move {
            if let Self::Postgres { connection, statement_timeout } = self {
                let sql = format!("SET statement_timeout = {}", wanted.limit().as_millis());
                connection.execute(sql.as_str()).await?;
                *statement_timeout = wanted;
            }
            Ok(())
        })
    }

    /// Runs statements without parameters.
    pub(crate) fn run<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            match self {
                Self::Postgres { connection, .. } => connection.execute(sql).await.map(drop),
                Self::Sqlite { connection, .. } => connection.execute(sql).await.map(drop),
            }
        })
    }

    pub(crate) fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        values: &'a [Value],
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        Box::pin(async move {
            Ok(match self {
                Self::Postgres { connection, .. } => {
                    let done = run_postgres(sql, values).execute(connection).await?;
                    done.rows_affected()
                }
                Self::Sqlite { connection, .. } => {
                    run_sqlite(sql, values).execute(connection).await?.rows_affected()
                }
            })
        })
    }

    pub(crate) fn fetch_all<'a>(
        &'a mut self,
        sql: &'a str,
        values: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Row>, sqlx::Error>> {
        Box::pin(async move {
            Ok(match self {
                Self::Postgres { connection, .. } => {
                    let rows = run_postgres(sql, values).fetch_all(connection).await?;
                    rows.into_iter().map(Row::Postgres).collect()
                }
                Self::Sqlite { connection, .. } => {
                    let rows = run_sqlite(sql, values).fetch_all(connection).await?;
                    rows.into_iter().map(Row::Sqlite).collect()
                }
            })
        })
    }

    /// Runs a statement that only PostgreSQL has, on PostgreSQL.
    pub(crate) fn execute_postgres<'a, 'q: 'a>(
        &'a mut self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        Box::pin(async move {
            match self {
                Self::Postgres { connection, .. } => Ok(query.execute(connection).await?.rows_affected()),
                Self::Sqlite { .. } => Err(sqlx::Error::Configuration("this is no PostgreSQL".into())),
            }
        })
    }

    pub(crate) fn ping(&mut self) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        Box::pin(async move {
            match self {
                Self::Postgres { connection, .. } => connection.ping().await,
                Self::Sqlite { connection, .. } => connection.ping().await,
            }
        })
    }

    /// Ends a statement whose caller has gone, and waits until it has ended. On PostgreSQL it only waits.
    pub(crate) async fn end_statement(&mut self) -> Result<(), sqlx::Error> {
        self.interrupt();
        self.ping().await?;
        if let Self::Sqlite { interrupt, .. } = self {
            interrupt.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Interrupts the running statement of SQLite. PostgreSQL ends one by itself when the connection is dropped.
    pub(crate) fn interrupt(&self) {
        if let Self::Sqlite { interrupt, .. } = self {
            interrupt.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn close(self) -> BoxFuture<'static, Result<(), sqlx::Error>> {
        Box::pin(async move {
            match self {
                Self::Postgres { connection, .. } => connection.close().await,
                Self::Sqlite { connection, .. } => connection.close().await,
            }
        })
    }
}

/// Opens a connection, and applies the settings that cannot be given in its options.
pub(crate) fn connect_postgres(
    options: &PgConnectOptions,
) -> BoxFuture<'_, Result<PgConnection, sqlx::Error>> {
    Box::pin(async move {
        let mut connection = options.connect().await?;
        connection.execute(DURABLE).await?;
        match connection.execute(CHECK_CLIENT).await {
            Err(sqlx::Error::Database(error)) => {
                tracing::debug!(%error, "statements of clients that have gone run to their end on this server");
            }
            result => {
                result?;
            }
        }
        Ok(connection)
    })
}

/// Builds a query. The text is part of this project's source; values of clients arrive as [`Value`]s.
fn run_postgres<'q>(sql: &'q str, values: &[Value]) -> Query<'q, Postgres, PgArguments> {
    values.iter().fold(sqlx::query(sql), bind_postgres)
}

fn run_sqlite<'q>(sql: &'q str, values: &[Value]) -> Query<'q, Sqlite, SqliteArguments<'q>> {
    values.iter().fold(sqlx::query(sql), bind_sqlite)
}
