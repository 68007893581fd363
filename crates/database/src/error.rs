//! What can go wrong with a database, told apart by what the caller can do about it.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why the database did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is none that Taskledger understands.
    #[error("`{url}` is not a database URL: {reason}")]
    Url {
        /// The URL with its password masked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The first connection failed.
    #[error("cannot connect to the database at {url}: {source}")]
    Connect {
        /// The URL with its password masked.
        url: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The database was migrated by a newer release.
    #[error(
        "the {schema} database at {url} was migrated by a newer version of Taskledger (it has migration {found}, this build knows up to {known}): run that version"
    )]
    Newer {
        /// The name of the schema.
        schema: &'static str,
        /// The URL with its password masked.
        url: String,
        /// The version found.
        found: i64,
        /// The newest that this build knows.
        known: i64,
    },
    /// A migration failed.
    #[error("cannot migrate the {schema} database at {url}: {source}")]
    Migrate {
        /// The name of the schema.
        schema: &'static str,
        /// The URL with its password masked.
        url: String,
        /// What the driver said.
        #[source]
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// A row is not what the schema promises.
    #[error("the database holds something unexpected: {0}")]
    Unexpected(String),
    /// A statement took longer than it may. It may or may not have been carried out.
    #[error("no answer from the database within {limit:?}")]
    Late {
        /// What it was given.
        limit: Duration,
    },
    /// The server is a standby, or takes no writes by its settings.
    #[error("the database is read-only")]
    ReadOnly,
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

impl DatabaseError {
    /// Whether the database is down, unreachable or overloaded, so that the same may succeed later: `503`,
    /// as opposed to a bug.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Late { .. } | Self::ReadOnly => true,
            Self::Url { .. } | Self::Newer { .. } | Self::Migrate { .. } | Self::Unexpected(_) => false,
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
}

impl DatabaseError {
    /// Whether the database refuses what it was given, as opposed to not being able to take anything now. The same will
    /// be refused again.
    #[must_use]
    pub fn refuses_data(&self) -> bool {
        match self {
            Self::Sql(error) => refuses_data(error),
            _ => false,
        }
    }

    /// Whether a statement took longer than it may.
    #[must_use]
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

/// As [`DatabaseError::refuses_data`].
#[must_use]
pub fn refuses_data(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match code.len() {
            // PostgreSQL: data exception, integrity violation, program limit exceeded.
            SQLSTATE_LENGTH => ["22", "23", "54"].iter().any(|class| code.starts_with(class)),
            // SQLite: too big, constraint, mismatch, range.
            _ => matches!(primary_code(&code), Some(18..=20 | 25)),
        }),
        _ => false,
    }
}

/// Whether the connection did not survive.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        _ => false,
    }
}

/// Whether SQLite failed in a way that may have ended the transaction by itself, or left it as it was, or left the file
/// in a state that only a new connection sees: busy, locked, out of memory, read-only, interrupted, input/output,
/// corrupt, full, cannot open, protocol, not a database.
pub(crate) fn leaves_connection_unusable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.len() != SQLSTATE_LENGTH && matches!(primary_code(&code), Some(5..=11 | 13..=15 | 26))
        }),
        _ => false,
    }
}

/// The low byte of SQLite's extended code. What is not a number is no code of SQLite's.
fn primary_code(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Whether a code of either database is about its own state and not about the statement.
fn is_temporary(code: &str) -> bool {
    if code.len() == SQLSTATE_LENGTH {
        // PostgreSQL: connection, authorization, missing database, read-only standby, conflict with another
        // transaction, resources, a lock not to be had, operator intervention (shutdown, timeouts), input/output.
        return ["25006", "25P03", "25P04"].contains(&code)
            || ["08", "28", "3D", "40", "53", "55P03", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class));
    }
    // SQLite: busy, locked, out of memory, read-only, interrupted, input/output, full, cannot open.
    matches!(primary_code(code), Some(5 | 6 | 7 | 8 | 9 | 10 | 13 | 14))
}
