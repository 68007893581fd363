//! From a URL to a store.

use std::sync::Arc;

use database::{Database, DatabaseError, Schema};

use crate::{EventStore, PostgresStore, SqliteStore};

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database is of the other kind.
    #[error("{url} is not a {expected} database")]
    Backend {
        /// Where the database is, with the password masked.
        url: String,
        /// What the store needs.
        expected: &'static str,
    },
    /// The store is not at this URL.
    #[error("cannot use {url} as event store: {reason}")]
    Url {
        /// Where the store should be, with the password masked.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// Opens the store at `url` (`postgres://…` or `sqlite:path`) with at most `connections` connections that
/// read, and applies missing migrations. On PostgreSQL one of them listens once there is a subscription (so
/// there are at least two), and one more writes. `kurrentdb://…` or `esdb://…` is KurrentDB, where one connection
/// serves all.
///
/// # Errors
/// When the database cannot be opened.
pub async fn open(url: &str, connections: u32) -> Result<Arc<dyn EventStore>, OpenError> {
    if is_kurrentdb(url) {
        return open_kurrentdb(url).await;
    }
    over(Database::open(url, Schema::EventStore, connections.max(2)).await?)
}

/// The store in a database that is open already, with [`Schema::EventStore`].
///
/// Starts the append task, so a Tokio runtime must be there.
///
/// # Errors
/// None for the databases there are today.
pub fn over(database: Database) -> Result<Arc<dyn EventStore>, OpenError> {
    Ok(if database.postgres().is_some() {
        Arc::new(PostgresStore::new(database)?)
    } else {
        Arc::new(SqliteStore::new(database)?)
    })
}

/// Whether `url` is a connection string of KurrentDB, which need not be a URL by the standard.
#[must_use]
pub fn is_kurrentdb(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let scheme = scheme.strip_suffix("+discover").unwrap_or(scheme);
    ["kurrentdb", "kurrent", "kdb", "esdb"].contains(&scheme)
}

#[cfg(feature = "kurrentdb")]
async fn open_kurrentdb(url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    Ok(Arc::new(crate::KurrentDbStore::connect(url).await?))
}

#[cfg(not(feature = "kurrentdb"))]
async fn open_kurrentdb(_url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    Err(OpenError::Url {
        url: "kurrentdb://…".to_owned(),
        reason: "this program was built without KurrentDB".to_owned(),
    })
}
