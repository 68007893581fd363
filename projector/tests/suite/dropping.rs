//! Payloads that were dropped from the log, up to any point.

use events::{
    AccountErased, EndReason, EventDigest, SessionEnded, SessionRefreshed, StoredEvent, TaskCompleted,
    TaskDeleted, TaskPurged,
};
use projector::{DroppedRows, RebuildError};
use tokio_util::sync::CancellationToken;

use super::{
    fixture::Fixture,
    writer::{Writer, created, registered, renamed, session, started, task, user},
};

/// An ended session, a purged task, and the streams of an erased person, each among others that continue.
async fn lives(log: &mut Writer) {
    for person in [user(1), user(2)] {
        log.account(person, registered("person@example.org")).await;
    }
    log.session(1, user(1), started(user(1))).await;
    log.session(2, user(1), started(user(1))).await;
    log.task(1, user(1), created(user(1), "Purged")).await;
    log.task(2, user(1), created(user(1), "Stays")).await;
    log.task(3, user(2), created(user(2), "Of nobody any more")).await;
    log.session(3, user(2), started(user(2))).await;
    let refreshed = SessionRefreshed { refresh_hash: "secret".into(), client: None, used: None };
    log.session(1, user(1), refreshed).await;
    log.task(1, user(1), renamed("Renamed")).await;
    log.task(1, user(1), TaskCompleted {}).await;
    log.task(1, user(1), TaskDeleted {}).await;
    log.task(1, user(1), TaskPurged {}).await;
    let reason = EndReason::Logout;
    log.session(1, user(1), SessionEnded { reason }).await;
    log.account(user(2), AccountErased {}).await;
}

/// The events whose payloads may be dropped, the last first.
async fn droppable(fixture: &Fixture) -> Vec<EventDigest> {
    let events = fixture.store.stored_page(0, 1_000).await.unwrap().events;
    let ended = [
        format!("session-{}", session(1)),
        format!("session-{}", session(3)),
        format!("task-{}", task(1)),
        format!("task-{}", task(3)),
        format!("account-{}", user(2)),
    ];
    let goes = |event: &&StoredEvent| {
        ended.contains(&event.stream) && !["task.purged", "account.erased"].contains(&&*event.kind)
    };
    events.iter().filter(goes).rev().map(StoredEvent::digest).collect()
}

pub(crate) async fn whatever_was_dropped_a_rebuild_gives_the_same_rows(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    lives(&mut log).await;
    fixture.catch_up(2).await;
    let audit_trail = fixture.count("audit_log").await;
    assert_eq!(fixture.count("sessions").await, 2);
    let events = droppable(&fixture).await;
    assert_eq!(events.len(), 10);
    for event in &events {
        fixture.store.drop_payloads(std::slice::from_ref(event)).await.unwrap();
        // As if the command had been killed here: nothing differs, and the report shows what is left to do.
        let left = u64::from(
            event.stream == format!("session-{}", session(1)) && fixture.count("sessions").await == 2,
        );
        assert_eq!(fixture.caught_up().await.left_by_drop, left, "{event:?}");
        let sample = fixture.sample(100).await;
        assert_eq!((sample.left_by_drop, sample.differences), (left, Vec::new()), "{event:?}");

        let rows = DroppedRows::open(&fixture.url()).await.unwrap();
        let second = DroppedRows::open(&fixture.url()).await;
        assert!(matches!(second, Err(RebuildError::AlreadyRunning)));
        let whole = !event.kind.starts_with("account") && event.stream != format!("task-{}", task(1));
        let streams = whole.then(|| events::StreamName::raw(&*event.stream));
        rows.delete(streams.iter()).await.unwrap();
        rows.close().await;
        drop(rows);

        // The same here.
        assert_eq!(fixture.caught_up().await.left_by_drop, 0);
        let rebuild = fixture.rebuild(2).await;
        rebuild.restart().await.unwrap();
        assert!(rebuild.build(&CancellationToken::new(), |_| {}).await.unwrap());
        let comparison = rebuild.compare(|_| {}).await.unwrap();
        assert_eq!(comparison.differences, Vec::<String>::new(), "{event:?}");
        rebuild.close().await;
    }
    assert_eq!(fixture.count("sessions").await, 1);
    assert_eq!(fixture.count("tasks").await, 2);
    assert_eq!(fixture.count("audit_log").await, audit_trail, "who did what when stays");

    // Projected again over the existing rows, with as many partitions and with more.
    for partitions in [2, 3] {
        fixture.run("UPDATE checkpoints SET position = 0").await;
        let report = fixture.catch_up(partitions).await;
        assert_eq!((report.tasks, report.sessions, report.parked), (2, 1, 0));
    }
    // The others continue.
    log.task(2, user(1), TaskCompleted {}).await;
    let reason = EndReason::Logout;
    log.session(2, user(1), SessionEnded { reason }).await;
    fixture.catch_up(2).await;
}

/// The same rows are deleted from the tables of an interrupted rebuild and the previous ones.
pub(crate) async fn rows_that_are_kept_aside_go_with_the_others(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    lives(&mut log).await;
    fixture.catch_up(2).await;
    let rebuild = fixture.built(2).await;
    rebuild.swap(&CancellationToken::new()).await.unwrap();
    assert!(rebuild.build(&CancellationToken::new(), |_| {}).await.unwrap());
    rebuild.close().await;
    drop(rebuild);

    let rows = DroppedRows::open(&fixture.url()).await.unwrap();
    rows.delete([events::StreamName::session(session(1))].iter()).await.unwrap();
    rows.close().await;
    drop(rows);
    let gone: Vec<_> = droppable(&fixture)
        .await
        .into_iter()
        .filter(|event| event.stream == format!("session-{}", session(1)))
        .collect();
    fixture.store.drop_payloads(&gone).await.unwrap();
    fixture.caught_up().await;
    let rebuild = fixture.rebuild(2).await;
    assert_eq!(rebuild.compare(|_| {}).await.unwrap().differences, Vec::<String>::new());
    rebuild.rollback().await.unwrap();
    fixture.caught_up().await;
    rebuild.close().await;
}
