//! The promises about encrypted events and keys, on PostgreSQL.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod suite;

use database::{Database, Schema};
use suite::{Place, promises, retired_master_keys::retire};
use test_support::{TestDatabase, eventually};

async fn place() -> (Place, TestDatabase) {
    let server = TestDatabase::create().await;
    let place = Place {
        log: event_store::open(server.url().as_str(), 4).await.unwrap(),
        database: Database::open(server.url().as_str(), Schema::SubjectKeys, 4).await.unwrap(),
    };
    (place, server)
}

promises!(place);

/// Whichever of the two comes first: the other one sees what it has done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_that_is_retired_while_a_key_is_made_wraps_nothing_afterwards() {
    for retires_first in [false, true] {
        let (place, _server) = place().await;
        let behind = place.keys().await;
        place.person(&behind).await;
        let ahead = place.keys_with(&["cd", "ab"]).await.unwrap();
        ahead.rewrap().await.unwrap();
        let wait = async |number: u64| {
            eventually("they wait for the lock", async || {
                let sql = "SELECT COUNT(*) AS number FROM pg_locks
                    WHERE relation = 'subject_keys.data_keys'::regclass AND NOT granted";
                let row = place.database.fetch_optional(sql, &[]).await.unwrap();
                row.unwrap().unsigned("number").unwrap() == number
            })
            .await;
        };
        let mut lock = place.database.begin().await.unwrap();
        lock.execute("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE", &[]).await.unwrap();
        let turn = async |is_first: bool| wait(if is_first { 0 } else { 1 }).await;
        let making = async {
            turn(!retires_first).await;
            place.try_person(&behind).await
        };
        let retiring = async {
            turn(retires_first).await;
            retire(&ahead).await
        };
        let unlocking = async {
            wait(2).await;
            lock.commit().await.unwrap();
        };
        let (made, retired, ()) = tokio::join!(making, retiring, unlocking);
        // A statement that is prepared for the first time waits for the lock twice, and may be overtaken in between.
        assert_ne!(made.is_ok(), retired.is_ok(), "{made:?}, {retired:?}");
        assert!(retired.is_ok() || !retires_first, "{retired:?}");
    }
}
