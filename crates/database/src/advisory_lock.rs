//! Advisory locks of PostgreSQL, which a session has until it ends.

use sqlx::{PgConnection, Postgres};

/// The name of a lock among those of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockName {
    /// A number, by which PostgreSQL itself knows locks.
    Number(i64),
    /// A text, of which PostgreSQL makes the number.
    Text(&'static str),
}

/// Whether several sessions may have a lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Only one session has the lock.
    Exclusive,
    /// All who have the lock have it in this mode.
    Shared,
}

/// Takes a lock for the session of `connection`. Returns `false` if other sessions have it.
pub(crate) async fn try_lock(
    connection: &mut PgConnection,
    name: LockName,
    mode: LockMode,
) -> Result<bool, sqlx::Error> {
    let function = match mode {
        LockMode::Exclusive => "pg_try_advisory_lock",
        LockMode::Shared => "pg_try_advisory_lock_shared",
    };
    let number = match name {
        LockName::Number(_) => "$1",
        LockName::Text(_) => "hashtextextended($1, 0)",
    };
    let sql = format!("SELECT {function}({number})");
    let query = sqlx::query_scalar::<Postgres, bool>(&sql);
    let query = match name {
        LockName::Number(number) => query.bind(number),
        LockName::Text(text) => query.bind(text),
    };
    query.fetch_one(connection).await
}
