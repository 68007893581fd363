//! The promises about encrypted events and keys, on PostgreSQL.

#![expect(
    clippy::disallowed_methods,
    reason = "tests make ids and start tasks as they like"
)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod suite;

use database::{Database, Schema};
use suite::{Place, promises};
use test_support::TestDatabase;

async fn place() -> (Place, TestDatabase) {
    let server = TestDatabase::create().await;
    let place = Place {
        log: event_store::open(server.url().as_str(), 4).await.unwrap(),
        database: Database::open(server.url().as_str(), Schema::SubjectKeys, 4)
            .await
            .unwrap(),
    };
    (place, server)
}

promises!(place);
