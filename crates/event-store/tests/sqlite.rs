//! The conformance suite on SQLite, and faults that only SQLite can have.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod conformance;
mod damaged;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use conformance::{TestLog, assert_exactly, assert_in_order, conformance, event, events, stream, whole_log};
use database::{Database, Schema};
use event_store::{EventStore, LogWatch, SqlStore, StoreError};
use events::LogPoint;
use tempfile::TempDir;
use test_support::eventually;

struct SqliteLog(TempDir);

async fn fresh() -> SqliteLog {
    SqliteLog(tempfile::tempdir().expect("a temporary directory"))
}

impl SqliteLog {
    fn url(&self) -> String {
        Database::file_url(&self.0.path().join("events.db"))
    }

    async fn database(&self) -> Database {
        Database::open(&self.url(), Schema::EventStore, 4).await.expect("a database")
    }
}

#[async_trait]
impl TestLog for SqliteLog {
    async fn store(&self) -> Arc<dyn EventStore> {
        event_store::open(&self.url(), 4).await.expect("a store")
    }

    fn dense(&self) -> bool {
        true
    }
}

conformance!(fresh);

#[tokio::test]
async fn survives_being_opened_again() {
    let log = fresh().await;
    let new = events(2);
    log.store().await.append(&stream("task-1"), 0, new.clone()).await.unwrap();
    let store = log.store().await;
    store.append(&stream("task-1"), 2, events(1)).await.unwrap();
    let read = whole_log(&*store).await;
    assert_in_order(&read, true);
    assert_exactly(&read[..2], new.iter().map(|event| event.id));
}

/// Another process holds the write lock, writes, and rolls back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_transaction_leaves_no_gap() {
    let log = fresh().await;
    let store = log.store().await;
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    let other = log.database().await;
    let mut transaction = other.begin().await.unwrap();
    let sql = "INSERT INTO events SELECT position + 1, version + 1, recorded_at, schema_version, id, stream, type, \
        encoding, metadata, data, data_sha256 FROM events";
    assert_eq!(transaction.execute(sql, &[]).await.unwrap(), 1);

    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.append(&stream("task-1"), 1, events(1)).await }
    });
    // Readers see neither, and are not blocked.
    assert_eq!(store.head().await.unwrap(), 1);
    assert!(!waiting.is_finished());
    drop(transaction);

    let appended = waiting.await.unwrap().unwrap();
    assert_eq!((appended.version, appended.position), (2, 2));
    assert_in_order(&whole_log(&*store).await, true);
}

/// A full disk fails the appends of one batch; when there is space again, appending continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk() {
    let log = fresh().await;
    let database = log.database().await;
    let store = SqlStore::new(database.clone());
    let first = event("{}");
    store.append(&stream("task-1"), 0, vec![first.clone()]).await.unwrap();
    // Limits the number of pages, for this connection only.
    let mut loan = database.writer().await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1").execute(loan.sqlite().unwrap()).await.unwrap();
    loan.give_back();

    let result = store.append(&stream("task-2"), 0, vec![event(vec![7; 1 << 20])]).await;
    assert!(
        matches!(&result, Err(StoreError::Unavailable(error)) if error.to_string().contains("full")),
        "{result:?}"
    );

    let second = event(vec![7; 1 << 20]);
    store.append(&stream("task-2"), 0, vec![second.clone()]).await.unwrap();
    let read = whole_log(&store).await;
    assert_in_order(&read, true);
    assert_exactly(&read, [first.id, second.id]);
}

/// What is written into such a file goes when the process ends, so it must not be acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_appended_to_a_file_that_was_deleted_or_replaced() {
    let log = fresh().await;
    let store = log.store().await;
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    let (file, aside) = (log.0.path().join("events.db"), log.0.path().join("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    for replaced in [false, true] {
        if replaced {
            std::fs::copy(&aside, &file).unwrap();
        }
        let refused = store.append(&stream("task-1"), 1, events(1)).await.unwrap_err();
        assert!(refused.to_string().contains("was deleted or replaced"), "{refused}");
        store.can_append().await.unwrap_err();
    }
    assert_eq!(whole_log(&*store).await.len(), 1);
    std::fs::rename(&aside, &file).unwrap();
    store.append(&stream("task-1"), 1, events(1)).await.unwrap();
    assert_eq!(whole_log(&*store).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_read_one_by_one() {
    let of_sqlite = [
        "UPDATE events SET metadata = CAST(x'ff' AS TEXT) WHERE position = 2",
        "UPDATE events SET type = CAST(x'ff' AS TEXT) WHERE position = 2",
        "UPDATE events SET stream = CAST(x'7461736b2d31ff' AS TEXT) WHERE position = 2",
        "UPDATE events SET id = 'none' WHERE position = 2",
    ];
    for damage in damaged::DAMAGES.into_iter().chain(of_sqlite) {
        let log = fresh().await;
        let store = log.store().await;
        damaged::four_records(&*store).await;
        log.database().await.execute(damage, &[]).await.unwrap();
        if damage.contains("SET stream") {
            let page = store.log_page(0, 10).await.unwrap();
            assert!(page.entries[1].is_err() && page.entries.len() == 4);
        } else {
            damaged::one_record_is_unreadable(&*store, damage).await;
        }
    }
}

/// The log loses events, and others take their positions before the comparison.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_notices_that_the_log_is_another() {
    let log = fresh().await;
    let store = log.store().await;
    store.append(&stream("task-1"), 0, events(10)).await.unwrap();
    let watch = Arc::new(LogWatch::new(Arc::clone(&store)));
    assert!(!watch.vouches(), "nobody has looked");
    let replaced = Arc::new(AtomicU64::new(0));
    let (running, counter) = (Arc::clone(&watch), Arc::clone(&replaced));
    let count = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let running = tokio::spawn(async move { running.run(count).await });
    eventually("the log was looked at", async || watch.vouches()).await;

    // Events that this process appends are remembered, even if they are lost soon after.
    let lost = event("{}");
    let appended = store.append(&stream("task-2"), 0, vec![lost.clone()]).await.unwrap();
    watch.saw(LogPoint { position: appended.position, id: Some(lost.id) });
    let database = log.database().await;
    let cut = "DELETE FROM events WHERE position > 10";
    assert_eq!(database.execute(cut, &[]).await.unwrap(), 1);
    // It even grows longer than it was, and this process sees the new events before the comparison.
    let others = events(5);
    let id = others[4].id;
    let regrown = store.append(&stream("task-2"), 0, others).await.unwrap();
    watch.saw(LogPoint { position: regrown.position, id: Some(id) });
    eventually("the loss is noticed", async || replaced.load(Ordering::SeqCst) == 1).await;
    // From then on this log is watched.
    store.append(&stream("task-2"), 5, events(5)).await.unwrap();
    eventually("the new log was looked at", async || watch.vouches()).await;
    assert_eq!(replaced.load(Ordering::SeqCst), 1);

    // While the log cannot be read it is not trusted.
    database.execute("ALTER TABLE events RENAME TO events_away", &[]).await.unwrap();
    eventually("nothing is vouched for", async || !watch.vouches()).await;
    running.abort();
}
