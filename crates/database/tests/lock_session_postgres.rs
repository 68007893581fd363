//! A lock whose holder keeps its session alive. Needs a server.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use database::{Database, LockMode, LockName, LockSession, PostgresServer, Schema, WatchedLock};
use test_support::{TestDatabase, eventually};
use tokio::time::timeout;

const NAME: LockName = LockName::Text("taskledger.test");

async fn open(server: &TestDatabase) -> Database {
    Database::connect(server.url().as_str(), Schema::Operations, 2).await.unwrap()
}

async fn take(server: &PostgresServer) -> Option<WatchedLock> {
    let mut session = LockSession::open(server).await.unwrap();
    session.try_take(NAME, LockMode::Exclusive).await.unwrap().then(|| session.watched())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_lock_is_kept_by_a_holder_that_does_other_things() {
    let server = TestDatabase::create().await;
    let database = open(&server).await;
    let server = database.postgres().unwrap();
    let longer_than_it_may_be_silent = LockSession::MAX_SILENCE + Duration::from_secs(2);
    let mut kept = None;
    // A busy machine may be too slow for one of the answers, but not each time.
    for _ in 0..3 {
        eventually("it is free", async || {
            kept = take(server).await;
            kept.is_some()
        })
        .await;
        let lock = kept.as_ref().unwrap();
        let losing = timeout(longer_than_it_may_be_silent, lock.lost()).await;
        if losing.is_err() && lock.is_held().await {
            break;
        }
        kept = None;
    }
    let lock = kept.expect("a lock whose holder does other things is lost");
    assert!(take(server).await.is_none(), "two have it");
    drop(lock);
    eventually("it is released", async || take(server).await.is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_notices_that_its_session_was_ended() {
    let server = TestDatabase::create().await;
    let database = open(&server).await;
    let lock = take(database.postgres().unwrap()).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid)::text AS ended FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.fetch_all(end, &[]).await.unwrap().len(), 1);
    assert!(!lock.is_held().await);
    timeout(Duration::from_secs(10), lock.lost()).await.unwrap();
    assert!(!lock.is_held().await);
}
