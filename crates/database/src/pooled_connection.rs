//! A connection from the pool: the one place where statements get their deadline, and where it is decided whether the
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

/// How long what was left unfinished may take to end, before its connection is closed instead. Until then its place in
/// the pool is taken, so it is short; a connection costs more than the end of a short statement, so it is not nothing.
const ENDING: Duration = Duration::from_millis(200);

/// A connection on loan. It goes back when dropped, after what was left unfinished has been ended.
#[derive(Debug)]
pub struct PooledConnection {
    /// There until dropped.
    session: Option<Object<Manager>>,
    left: Left,
    statement_timeout: StatementTimeout,
}

/// How the connection would be left if it were dropped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// For the next user.
    Ready,
    /// With a statement under way.
    AtWork,
    /// In a transaction.
    InTransaction,
    /// In a state that nobody can be sure of.
    Unknown,
    /// Cut off from the server.
    Lost,
}

impl PooledConnection {
    pub(crate) const fn new(session: Object<Manager>, statement_timeout: StatementTimeout) -> Self {
        Self {
            session: Some(session),
            left: Left::Ready,
            statement_timeout,
        }
    }

    #[expect(clippy::expect_used, reason = "as its comment says")]
    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("there until dropped")
    }

    /// The connection for a statement, and how long that may take. What it leaves behind is for [`Self::ended`].
    fn start(&mut self) -> (Duration, &mut Session) {
        if self.left == Left::Ready {
            self.left = Left::AtWork;
        }
        (self.statement_timeout.limit(), self.session())
    }

    /// Notes what a statement has left behind.
    fn ended<T>(&mut self, result: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, DatabaseError> {
        self.left = match &result {
            Err(_) => Left::Lost,
            Ok(Err(error)) if is_lost(error) => Left::Lost,
            Ok(Err(error)) if leaves_connection_unusable(error) => Left::Unknown,
            Ok(_) if self.left == Left::AtWork => Left::Ready,
            Ok(_) => self.left,
        };
        let limit = self.statement_timeout.limit();
        Ok(result.map_err(|_| DatabaseError::Late { limit })??)
    }

    /// Has the server, too, end statements that take longer than they may.
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
        self.left = Left::InTransaction;
        let (limit, session) = self.start();
        let result = timeout(limit, session.run(statement)).await;
        self.ended(result)?;
        Ok(self)
    }

    pub(crate) async fn commit(mut self) -> Result<(), DatabaseError> {
        let (limit, session) = self.start();
        let result = timeout(limit, session.run("COMMIT")).await;
        self.ended(result)?;
        self.left = Left::Ready;
        Ok(())
    }

    /// For a user who does what nobody here can follow: unless it is given back, the connection is thrown away.
    pub(crate) const fn throw_away_unless_given_back(mut self) -> Self {
        self.left = Left::Unknown;
        self
    }

    /// The connection to SQLite, or `None` on PostgreSQL. Its user gives each statement a deadline.
    pub fn sqlite(&mut self) -> Option<&mut SqliteConnection> {
        match self.session() {
            Session::Sqlite { connection, .. } => Some(connection),
            Session::Postgres { .. } => None,
        }
    }

    /// Says that the connection is in no transaction and can be used by others. Without this it is thrown away.
    pub fn give_back(mut self) {
        self.left = Left::Ready;
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
        match (self.left, has_runtime) {
            (Left::Ready, _) => put_back(object),
            (Left::AtWork | Left::InTransaction, true) => {
                runtime::spawn("ending of what was left unfinished", tidy(object, self.left));
            }
            (Left::AtWork | Left::InTransaction | Left::Unknown, _) => discard(object),
            (Left::Lost, _) => discard_all(object),
        }
    }
}

/// Ends what was left unfinished, so that it holds no locks and the next user finds nothing of it. What does not end soon
/// ends with its connection.
async fn tidy(mut object: Object<Manager>, left: Left) {
    let ending = async {
        object.end_statement().await?;
        match left {
            Left::InTransaction => object.run("ROLLBACK").await,
            _ => Ok(()),
        }
    };
    match timeout(ENDING, ending).await {
        Ok(Ok(())) => put_back(object),
        Ok(Err(error)) if is_lost(&error) => discard_all(object),
        Ok(Err(_)) | Err(_) => discard(object),
    }
}
