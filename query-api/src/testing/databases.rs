//! Fresh databases, gone after the test.

use std::panic::{AssertUnwindSafe, resume_unwind};

use database::{Database, Schema};
use futures::FutureExt;
use sqlx::{Connection, PgConnection};
use url::Url;
use uuid::Uuid;

/// Runs `test` on a new SQLite file.
pub(crate) async fn on_sqlite(test: impl AsyncFnOnce(Database)) {
    let directory = tempfile::tempdir().unwrap();
    let url = Database::file_url(&directory.path().join("read-models.db"));
    let database = Database::open(&url, Schema::ReadModels, 4).await.unwrap();
    test(database.clone()).await;
    database.close().await;
}

/// Runs `test` on a new database of the PostgreSQL server at `DATABASE_URL`, by default the local one.
pub(crate) async fn on_postgres(test: impl AsyncFnOnce(Database)) {
    let server = std::env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    let mut admin = PgConnection::connect(&server).await.unwrap_or_else(|error| {
        panic!("this test needs PostgreSQL: start one at 127.0.0.1:5432 or set DATABASE_URL ({error})")
    });
    let name = format!("query_api_test_{}", Uuid::now_v7().simple());
    sqlx::query(&format!("CREATE DATABASE {name}"))
        .execute(&mut admin)
        .await
        .unwrap();

    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    let outcome = AssertUnwindSafe(async {
        let database = Database::open(url.as_str(), Schema::ReadModels, 4).await.unwrap();
        test(database).await;
    })
    .catch_unwind()
    .await;

    sqlx::query(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .execute(&mut admin)
        .await
        .unwrap();
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}
