//! What can go wrong with a database, told apart by what the caller can do about it.

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
        /// Which schema.
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
        /// Which schema.
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
            Self::Connect { .. } => true,
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

/// Whether a code of either database is about its own state and not about the statement.
fn is_temporary(code: &str) -> bool {
    const SQLSTATE_LENGTH: usize = 5;
    if code.len() == SQLSTATE_LENGTH {
        // PostgreSQL: connection, authorization, missing database, read-only standby, conflict with another
        // transaction, resources, operator intervention (shutdown, timeouts).
        return code == "25006"
            || ["08", "28", "3D", "40", "53", "57"]
                .iter()
                .any(|class| code.starts_with(class));
    }
    // SQLite: busy, locked, read-only, input/output, full, cannot open. The low byte is the primary code.
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}
