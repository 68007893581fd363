//! A connection from the pool. Only here statements get their deadline, and only here it is decided whether a
//! connection can be used again.

use std::time::Duration;

use deadpool::managed::Object;
use sqlx::{Postgres, SqliteConnection, postgres::PgArguments, query::Query};
use tokio::time::{error::Elapsed, timeout};

use crate::{
    DatabaseError, Row, StatementTimeout, Value,
    error::{is_lost, leaves_connection_unusable},
    manager::{Manager, close, discard, discard_all, put_back},
    session::Session,
};

/// The time limit for ending unfinished work before the connection is closed instead. Until then its place in the
/// pool is taken, so the limit is short; it is not zero, because a new connection costs more than ending a short
/// statement.
const ENDING: Duration = Duration::from_millis(200);

/// A connection from the pool. When dropped, it ends unfinished work and returns to the pool.
#[derive(Debug)]
pub struct PooledConnection {
    /// `Some` until it is dropped.
    session: Option<Object<Manager>>,
    state: ConnectionState,
    statement_timeout: StatementTimeout,
}

/// The state in which the connection would be if it were dropped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    /// Ready for the next user.
    Ready,
    /// A statement is running.
    Running,
    /// In a transaction.
    InTransaction,
    /// Unknown.
    Unknown,
    /// The connection to the server is lost.
    Lost,
}

impl PooledConnection {
    pub(crate) const fn new(session: Object<Manager>, statement_timeout: StatementTimeout) -> Self {
        Self { session: Some(session), state: ConnectionState::Ready, statement_timeout }
    }

    #[expect(clippy::expect_used, reason = "as its comment says")]
    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("there until dropped")
    }

    /// The connection for a statement, and its time limit. [`Self::ended`] must be called with the result.
    fn start(&mut self) -> (Duration, &mut Session) {
        if self.state == ConnectionState::Ready {
            self.state = ConnectionState::Running;
        }
        (self.statement_timeout.limit(), self.session())
    }

    /// Records the state after a statement.
    fn ended<T>(&mut self, result: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, DatabaseError> {
        self.state = match &result {
            Err(_) => ConnectionState::Lost,
            Ok(Err(error)) if is_lost(error) => ConnectionState::Lost,
            Ok(Err(error)) if leaves_connection_unusable(error) => ConnectionState::Unknown,
            Ok(_) if self.state == ConnectionState::Running => ConnectionState::Ready,
            Ok(_) => self.state,
        };
        let limit = self.statement_timeout.limit();
        Ok(result.map_err(|_| DatabaseError::Late { limit })??)
    }

    /// Sets the time limit on the server, too.
    pub(crate) async fn announce_statement_timeout(&mut self) -> Result<(), DatabaseError> {
        let statement_timeout = self.statement_timeout;
        if self.session().has_statement_timeout(statement_timeout) {
            return Ok(());
        }
        let (limit, session) = self.start();
        let result = timeout(limit, session.set_statement_timeout(statement_timeout)).await;
        self.ended(result)
    }

    pub(crate) async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let (limit, session) = self.start();
        let result = timeout(limit, session.execute(sql, values)).await;
        self.ended(result)
    }

    pub(crate) async fn fetch_all(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let (limit, session) = self.start();
        let result = timeout(limit, session.fetch_all(sql, values)).await;
        self.ended(result)
    }

    pub(crate) async fn execute_postgres(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, DatabaseError> {
        let (limit, session) = self.start();
        let result = timeout(limit, session.execute_postgres(query)).await;
        self.ended(result)
    }

    /// Runs statements without parameters.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let (limit, session) = self.start();
        let result = timeout(limit, session.run(sql)).await;
        self.ended(result)
    }

    /// Begins a transaction with `statement`.
    pub(crate) async fn begin(mut self, statement: &str) -> Result<Self, DatabaseError> {
        self.state = ConnectionState::InTransaction;
        self.run(statement).await?;
        Ok(self)
    }

    pub(crate) async fn commit(mut self) -> Result<(), DatabaseError> {
        self.run("COMMIT").await?;
        self.state = ConnectionState::Ready;
        Ok(())
    }

    /// For a user whose statements are not seen here: unless it is given back, the connection is closed.
    pub(crate) const fn throw_away_unless_given_back(mut self) -> Self {
        self.state = ConnectionState::Unknown;
        self
    }

    /// The connection to SQLite; `None` on PostgreSQL. The caller must give each statement a deadline.
    pub fn sqlite(&mut self) -> Option<&mut SqliteConnection> {
        match self.session() {
            Session::Sqlite { connection, .. } => Some(connection),
            Session::Postgres { .. } => None,
        }
    }

    /// Declares that the connection is in no transaction and can be used by others. Otherwise it is closed.
    pub fn give_back(mut self) {
        self.state = ConnectionState::Ready;
    }

    /// Closes the connection and waits for it.
    pub async fn close(mut self) {
        if let Some(object) = self.session.take() {
            close(Object::take(object)).await;
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(object) = self.session.take() else {
            return;
        };
        let has_runtime = tokio::runtime::Handle::try_current().is_ok();
        match (self.state, has_runtime) {
            (ConnectionState::Ready, _) => put_back(object),
            (ConnectionState::Running | ConnectionState::InTransaction, true) => {
                runtime::spawn("ending of what was left unfinished", tidy(object, self.state));
            }
            (ConnectionState::Running | ConnectionState::InTransaction | ConnectionState::Unknown, _) => {
                discard(object)
            }
            (ConnectionState::Lost, _) => discard_all(object),
        }
    }
}

/// Ends unfinished work, so that it holds no locks and the next user is not affected. If that takes too long, the
/// connection is closed.
async fn tidy(mut object: Object<Manager>, state: ConnectionState) {
    let ending = async {
        object.end_statement().await?;
        match state {
            ConnectionState::InTransaction => object.run("ROLLBACK").await,
            _ => Ok(()),
        }
    };
    match timeout(ENDING, ending).await {
        Ok(Ok(())) => put_back(object),
        Ok(Err(error)) if is_lost(&error) => discard_all(object),
        Ok(Err(_)) | Err(_) => discard(object),
    }
}
