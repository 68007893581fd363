//! Keys of people for tests.

use std::{path::Path, sync::Arc};

use database::{Database, Schema};
use runtime::SystemClock;
use sealing::{MasterKeys, SubjectKeys};

/// The keys of people in a file of `directory`, wrapped by a master key that everybody knows.
///
/// # Panics
/// When the file cannot be used.
pub async fn subject_keys(directory: &Path) -> SubjectKeys {
    let url = Database::file_url(&directory.join("subject-keys.db"));
    let database = Database::open(&url, Schema::SubjectKeys, 4).await.unwrap();
    let master_keys = MasterKeys::from_setting("the tests", &"ab".repeat(32)).unwrap();
    SubjectKeys::open(database, master_keys, Arc::new(SystemClock))
        .await
        .unwrap()
}
