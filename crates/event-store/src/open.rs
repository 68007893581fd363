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
        #[cfg(feature = "kurrentdb")]
        return Ok(Arc::new(crate::KurrentDbStore::connect(url).await?));
        #[cfg(not(feature = "kurrentdb"))]
        return Err(built_without_kurrentdb());
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
        #[cfg(feature = "kurrentdb")]
        return crate::KurrentDbStore::check_url(url);
        #[cfg(not(feature = "kurrentdb"))]
        return Err(built_without_kurrentdb());
    }
    Ok(Database::check_url(url)?)
}

/// Whether `url` is a connection string of KurrentDB, which need not be a URL by the standard.
pub fn is_kurrentdb(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let scheme = scheme.strip_suffix("+discover").unwrap_or(scheme);
    ["kurrentdb", "kurrent", "kdb", "esdb"].contains(&scheme)
}

#[cfg(not(feature = "kurrentdb"))]
fn built_without_kurrentdb() -> OpenError {
    OpenError::Url {
        url: "kurrentdb://…".to_owned(),
        reason: "this program was built without KurrentDB; build it with `cargo build --release --features kurrentdb`"
            .to_owned(),
    }
}
