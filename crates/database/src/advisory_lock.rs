//! Advisory locks of PostgreSQL, which a session has until it ends.

use sqlx::PgConnection;

/// Whether several sessions may have a lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Only one session has the lock.
    Exclusive,
    /// All who have the lock have it in this mode.
    Shared,
}

/// Takes the lock called `name` for the session of `connection`. Returns `false` if other sessions have it.
pub(crate) async fn try_lock(
    connection: &mut PgConnection,
    name: &str,
    mode: LockMode,
) -> Result<bool, sqlx::Error> {
    let sql = match mode {
        LockMode::Exclusive => "SELECT pg_try_advisory_lock(hashtextextended($1, 0))",
        LockMode::Shared => "SELECT pg_try_advisory_lock_shared(hashtextextended($1, 0))",
    };
    sqlx::query_scalar(sql).bind(name).fetch_one(connection).await
}
