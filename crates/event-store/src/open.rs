//! Opens a store by its URL.

use std::sync::Arc;

use database::{Database, Schema};

use crate::{EventStore, OpenError, SqlStore};

/// Opens the store at `url` (`postgres://…` or `sqlite:path`) with at most `connections` connections that
/// read, and applies missing migrations. On PostgreSQL one more writes, and one more listens once there is a
/// subscription. `kurrentdb://…` or `esdb://…` is KurrentDB, where one connection serves all.
///
/// # Errors
/// When the database cannot be opened.
pub async fn open(url: &str, connections: u32) -> Result<Arc<dyn EventStore>, OpenError> {
    if is_kurrentdb(url) {
        return open_kurrentdb(url).await;
    }
    let database = Database::open(url, Schema::EventStore, connections).await?;
    Ok(Arc::new(SqlStore::new(database)))
}

/// Checks that [`open`] can read `url`, without connecting.
///
/// # Errors
/// When it is malformed, or this build cannot use it.
pub fn check_url(url: &str) -> Result<(), OpenError> {
    if is_kurrentdb(url) {
        return check_kurrentdb_url(url);
    }
    Ok(Database::check_url(url)?)
}

/// Whether `url` is a connection string of KurrentDB, which need not be a URL by the standard.
pub fn is_kurrentdb(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let scheme = scheme.strip_suffix("+discover").unwrap_or(scheme);
    ["kurrentdb", "kurrent", "kdb", "esdb"].contains(&scheme)
}

#[cfg(feature = "kurrentdb")]
async fn open_kurrentdb(url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    Ok(Arc::new(crate::KurrentDbStore::connect(url).await?))
}

#[cfg(feature = "kurrentdb")]
fn check_kurrentdb_url(url: &str) -> Result<(), OpenError> {
    crate::KurrentDbStore::check_url(url)
}

#[cfg(not(feature = "kurrentdb"))]
async fn open_kurrentdb(_url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    Err(built_without_kurrentdb())
}

#[cfg(not(feature = "kurrentdb"))]
fn check_kurrentdb_url(_url: &str) -> Result<(), OpenError> {
    Err(built_without_kurrentdb())
}

#[cfg(not(feature = "kurrentdb"))]
fn built_without_kurrentdb() -> OpenError {
    OpenError::Url {
        url: "kurrentdb://…".to_owned(),
        reason: "this program was built without KurrentDB; build it with `cargo build --release --features kurrentdb`"
            .to_owned(),
    }
}
