//! The errors of a database, distinguished by what the caller can do.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why an operation of the database failed. URLs have their passwords masked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum DatabaseError {
    #[error("`{url}` is not a database URL: {reason}")]
    Url { url: String, reason: String },
    #[error("cannot connect to the database at {url}: {source}")]
    Connect {
        url: String,
        #[source]
        source: sqlx::Error,
    },
    /// A file that can only be read may change, or lacks the changes that are still in its -wal.
    #[error(
        "the database at {url} cannot be read where it is, since nothing can be written there, and the -wal or -shm beside it shows that another process uses it or has not ended in order: read it where you may write, or stop that process, copy the whole directory to where you may write, and name the copy"
    )]
    InUseInReadOnlyDirectory { url: String },
    #[error(
        "the {schema} database at {url} was migrated by a newer version of Taskledger (it has migration {found}, this build knows up to {known}): run that version"
    )]
    Newer { schema: &'static str, url: String, found: i64, known: i64 },
    #[error("cannot migrate the {schema} database at {url}: {source}")]
    Migrate {
        schema: &'static str,
        url: String,
        #[source]
        source: Box<sqlx::migrate::MigrateError>,
    },
    #[error(
        "this user may not migrate the {schema} database at {url}: run `taskledger migrate` as the owner of the database, and after it deploy/postgres/rights.sql if each role has a user of its own: {source}"
    )]
    MayNotMigrate {
        schema: &'static str,
        url: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database holds something unexpected: {0}")]
    Unexpected(String),
    /// A statement exceeded its time limit. It may have taken effect.
    #[error("no answer from the database within {limit:?}")]
    Late { limit: Duration },
    /// The server is a standby, or is configured as read-only.
    #[error("the database is read-only")]
    ReadOnly,
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

impl DatabaseError {
    /// Whether the database is down, unreachable or overloaded, so that the operation may succeed later (`503`).
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Late { .. } | Self::ReadOnly => true,
            Self::Url { .. }
            | Self::InUseInReadOnlyDirectory { .. }
            | Self::Newer { .. }
            | Self::Migrate { .. }
            | Self::MayNotMigrate { .. }
            | Self::Unexpected(_) => false,
            Self::Sql(error) => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                sqlx::Error::Database(error) => error.code().is_some_and(|code| is_temporary(&code)),
                _ => false,
            },
        }
    }

    /// Whether the database refuses the values. It will refuse them again.
    pub fn refuses_data(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Encode(_)) => true,
            Self::Sql(sqlx::Error::Database(error)) => error.code().is_some_and(|code| match code.len() {
                // PostgreSQL: data exception, integrity violation, program limit exceeded.
                SQLSTATE_LENGTH => ["22", "23", "54"].iter().any(|class| code.starts_with(class)),
                // SQLite: too big, constraint, mismatch, range.
                _ => matches!(primary_code(&code), Some(18..=20 | 25)),
            }),
            _ => false,
        }
    }

    /// Whether the user of the connection has no right to it, in PostgreSQL.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Sql(error) if is_forbidden(error))
    }

    /// Whether a statement exceeded its time limit.
    pub fn is_late(&self) -> bool {
        match self {
            Self::Late { .. } => true,
            // PostgreSQL: query cancelled. SQLite: interrupted.
            Self::Sql(sqlx::Error::Database(error)) => error.code().is_some_and(|code| match code.len() {
                SQLSTATE_LENGTH => code == "57014",
                _ => primary_code(&code) == Some(9),
            }),
            _ => false,
        }
    }
}

const SQLSTATE_LENGTH: usize = 5;

/// As [`DatabaseError::is_forbidden`].
pub(crate) fn is_forbidden(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("42501"))
}

/// Whether the server is not ready yet, or not for all clients.
pub(crate) fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        // "The database system is starting up".
        sqlx::Error::Database(database) => is_full(error) || database.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

/// Whether the server, or this role or database on it, has too many connections.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("53300"))
}

/// Whether the connection was lost. One that was never open was not, and has been waited for already.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        _ if is_starting(error) => false,
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        _ => false,
    }
}

/// Whether only a new connection can be used after this error. PostgreSQL refuses a prepared statement whose columns a
/// migration has changed as long as the connection lives. SQLite leaves the transaction or the file in an unknown
/// state: busy, locked, out of memory, read-only, interrupted, input/output, corrupt, full, cannot open, protocol, not
/// a database.
pub(crate) fn leaves_connection_unusable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match code.len() {
            SQLSTATE_LENGTH => code == "0A000",
            _ => matches!(primary_code(&code), Some(5..=11 | 13..=15 | 26)),
        }),
        _ => false,
    }
}

/// The low byte of SQLite's extended code. A code that is not a number is not SQLite's.
fn primary_code(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Whether an error code is about the state of the database, not about the statement.
fn is_temporary(code: &str) -> bool {
    if code.len() == SQLSTATE_LENGTH {
        // PostgreSQL: connection, authorization, missing database, read-only standby, conflict with another
        // transaction, resources, a lock that is not available, operator intervention (shutdown, timeouts),
        // input/output.
        return ["25006", "25P03", "25P04"].contains(&code)
            || ["08", "28", "3D", "40", "53", "55P03", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class));
    }
    // SQLite: busy, locked, out of memory, read-only, interrupted, input/output, full, cannot open.
    matches!(primary_code(code), Some(5 | 6 | 7 | 8 | 9 | 10 | 13 | 14))
}
