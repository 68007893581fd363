//! New databases for one test.

use database::{Database, Schema};
use test_support::TestDatabase;

/// Runs `test` on a new SQLite file.
pub(crate) async fn on_sqlite(test: impl AsyncFnOnce(Database)) {
    let directory = tempfile::tempdir().unwrap();
    let url = Database::file_url(&directory.path().join("read-models.db"));
    let database = Database::open(&url, Schema::ReadModels, 4).await.unwrap();
    test(database.clone()).await;
    database.close().await;
}

/// Runs `test` on a new PostgreSQL database.
pub(crate) async fn on_postgres(test: impl AsyncFnOnce(Database)) {
    let server = TestDatabase::create().await;
    let database = Database::open(server.url().as_str(), Schema::ReadModels, 4).await.unwrap();
    test(database).await;
}
