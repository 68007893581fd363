//! Keys of people for tests.

use std::{path::Path, sync::Arc};

use database::{Database, Schema};
use event_store::EventStore;
use runtime::SystemClock;
use sealing::{MasterKeys, SealedStore, SubjectKeys};

/// The keys of people in a file of `directory`, wrapped by a master key that everybody knows.
///
/// # Panics
/// When the file cannot be used.
pub async fn subject_keys(directory: &Path) -> SubjectKeys {
    let url = Database::file_url(&directory.join("subject-keys.db"));
    let database = Database::open(&url, Schema::SubjectKeys, 4).await.unwrap();
    let master_keys = MasterKeys::from_setting("the tests", &"ab".repeat(32)).unwrap();
    SubjectKeys::open(database, master_keys, Arc::new(SystemClock)).await.unwrap()
}

/// Encrypts what is appended to `store`, under the [keys](subject_keys) in `directory`. None of them is in memory yet.
///
/// # Panics
/// As [`subject_keys`].
pub async fn sealed(store: Arc<dyn EventStore>, directory: &Path) -> Arc<dyn EventStore> {
    SealedStore::over(store, subject_keys(directory).await)
}
