//! PostgreSQL ends the session that has the lock of a rebuild, as when it is restarted. Then another rebuild can begin.

use std::{sync::atomic::Ordering, time::Duration};

use projector::{Rebuild, RebuildError};
use test_support::FaultyStore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::suite::{
    fixture::{Fixture, eventually, pace, partitions},
    rebuilding::history,
    writer::Writer,
};

async fn end_the_session_with_the_lock(fixture: &Fixture) {
    let ended = fixture
        .rows(
            "SELECT pg_terminate_backend(pid)::text AS ended FROM pg_locks WHERE locktype = 'advisory' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND (classid::bigint << 32 | objid::bigint) = hashtextextended('taskledger.rebuild', 0)",
        )
        .await;
    assert_eq!(ended.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_without_its_lock_leaves_everything_to_the_next_one() {
    let fixture = Fixture::postgres().await;
    history(&mut Writer::new(&fixture.store), 20).await;
    fixture.catch_up(2).await;
    let first = fixture.rebuild(2).await;
    let run = CancellationToken::new();
    assert!(first.build(&run, |_| {}).await.unwrap());
    end_the_session_with_the_lock(&fixture).await;
    let mut second = None;
    eventually("another rebuild begins", async || {
        let opened = Rebuild::open(&fixture.url(), fixture.store.clone(), partitions(2), pace()).await;
        second = opened.ok();
        second.is_some()
    })
    .await;
    let second = second.unwrap();
    assert!(second.build(&run, |_| {}).await.unwrap());
    for (what, refused) in [
        ("restart", first.restart().await.map(|()| 0)),
        ("build", first.build(&run, |_| {}).await.map(u64::from)),
        ("compare", first.compare(|_| {}).await.map(|_| 0)),
        ("swap", first.swap(&run).await),
    ] {
        assert!(matches!(refused, Err(RebuildError::LockLost)), "{what}: {refused:?}");
    }
    second.swap(&run).await.unwrap();
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.parked), (20, 0));
}

/// It could not know whether its tables are those of another rebuild.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_loses_its_lock_while_it_projects_ends() {
    let fixture = Fixture::postgres().await;
    history(&mut Writer::new(&fixture.store), 20).await;
    fixture.catch_up(2).await;
    let faulty = FaultyStore::over(fixture.store.clone());
    let rebuild = Rebuild::open(&fixture.url(), faulty.clone(), partitions(2), pace()).await.unwrap();
    let run = CancellationToken::new();
    // It tries again and again to read the log.
    let building = rebuild.build(&run, |_| faulty.down.store(true, Ordering::SeqCst));
    let ending = async {
        eventually("it cannot read the log", async || faulty.down.load(Ordering::SeqCst)).await;
        end_the_session_with_the_lock(&fixture).await;
    };
    let (ended, ()) = tokio::join!(timeout(Duration::from_secs(30), building), ending);
    let refused = ended.unwrap();
    assert!(matches!(refused, Err(RebuildError::LockLost)), "{refused:?}");
}
