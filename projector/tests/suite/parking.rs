//! Events that cannot be projected.

use std::time::Duration;

use bus::InProcessBus;
use bytes::Bytes;
use events::{StreamName, TaskCompleted};
use projector::{ParkingError, discard, parked, parked_at, retry};

use test_support::FaultyStore;

use super::{
    faults::metric,
    fixture::{Fixture, eventually, partitions},
    relay::Relay,
    writer::{Writer, created, registered, renamed, task, user},
};

async fn title(fixture: &Fixture, id: u128) -> String {
    let sql = format!("SELECT title FROM tasks WHERE id = '{}'", task(id));
    fixture.rows(&sql).await[0].text("title").unwrap()
}

pub(crate) async fn an_unreadable_event_parks_its_stream_only(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = fixture.project(1, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 1));
    let (owner, stream) = (user(1), StreamName::task(task(1)));
    log.task(1, owner, created(owner, "One")).await;
    log.task(2, owner, created(owner, "Two")).await;
    let poison = log.append_raw(&stream, owner, "task.teleported", Bytes::from_static(b"{}")).await;
    log.task(2, owner, TaskCompleted {}).await;
    relay.publish(bus.as_ref()).await;
    let later = log.task(1, owner, renamed("Later")).await;
    log.task(2, owner, renamed("Flows on")).await;
    relay.publish(bus.as_ref()).await;
    let report = fixture.caught_up().await;
    assert_eq!((report.audit, report.parked), (6, 2), "the audit trail has parked events, too");
    assert_eq!(
        (title(&fixture, 1).await, title(&fixture, 2).await),
        ("One".to_owned(), "Flows on".to_owned())
    );

    let list = parked(&fixture.read_models, 0).await.unwrap();
    assert_eq!(list.iter().map(|event| event.position).collect::<Vec<_>>(), [poison, later]);
    assert!(list[0].reason.contains("unknown event type `task.teleported`"), "{}", list[0].reason);

    // A retry changes nothing while the build is the same.
    assert_eq!(fixture.retry(&stream).await, (0, 2));
    assert_eq!(parked(&fixture.read_models, 0).await.unwrap()[0].attempts, 2);
    let refused = discard(&fixture.read_models, later).await;
    assert!(matches!(refused, Err(ParkingError::NotFirst { first }) if first == poison), "{refused:?}");

    // Without the bad event the rest of the stream continues.
    discard(&fixture.read_models, poison).await.unwrap();
    assert_eq!(fixture.retry(&stream).await, (1, 0));
    log.task(1, owner, TaskCompleted {}).await;
    relay.publish(bus.as_ref()).await;
    assert_eq!(fixture.caught_up().await.parked, 0);
    assert_eq!(title(&fixture, 1).await, "Later");
    let missing = retry(fixture.store.as_ref(), &fixture.read_models, &stream).await;
    assert!(matches!(missing, Err(ParkingError::StreamNotParked(_))), "{missing:?}");
    running.stop().await;

    // A discarded event stays discarded when everything is projected again.
    fixture.run("DELETE FROM tasks").await;
    fixture.run("DELETE FROM audit_log").await;
    fixture.run("DELETE FROM checkpoints").await;
    let report = fixture.catch_up(2).await;
    assert_eq!((report.tasks, report.audit, report.parked), (2, 7, 0));
}

pub(crate) async fn a_refused_row_parks_its_stream_until_retried(fixture: Fixture) {
    if fixture.is_postgres() {
        fixture.run("ALTER TABLE tasks ADD CONSTRAINT no_poison CHECK (title <> 'poison')").await;
    } else {
        for event in ["INSERT", "UPDATE"] {
            let when = format!("BEFORE {event} ON tasks WHEN NEW.title = 'poison'");
            fixture
                .run(&format!("CREATE TRIGGER no_{event} {when} BEGIN SELECT RAISE(ABORT, 'no poison'); END"))
                .await;
        }
    }
    let mut log = Writer::new(&fixture.store);
    let (owner, stream) = (user(1), StreamName::task(task(5)));
    for number in 0..10 {
        log.task(number, owner, created(owner, "Task")).await;
    }
    let poison = log.task(5, owner, renamed("poison")).await;
    for number in 0..10 {
        log.task(number, owner, TaskCompleted {}).await;
    }
    log.task(5, owner, renamed("Cured")).await;
    let running = fixture.project(2, InProcessBus::new()).await;
    assert_refused(&fixture, poison).await;
    assert_eq!(fixture.retry(&stream).await, (0, 3));
    if fixture.is_postgres() {
        fixture.run("ALTER TABLE tasks DROP CONSTRAINT no_poison").await;
    } else {
        fixture.run("DROP TRIGGER no_INSERT").await;
        fixture.run("DROP TRIGGER no_UPDATE").await;
    }
    assert_eq!(fixture.retry(&stream).await, (3, 0));
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.audit, report.parked), (10, 22, 0));
    assert_eq!(title(&fixture, 5).await, "Cured");
    running.stop().await;
}

/// Only this event cannot be projected, because the database refuses it.
async fn assert_refused(fixture: &Fixture, poison: u64) {
    super::fixture::eventually("the whole log is projected", async || fixture.count("audit_log").await == 22)
        .await;
    super::fixture::eventually("the stream is parked", async || fixture.count("parked_events").await == 3)
        .await;
    let list = parked(&fixture.read_models, 0).await.unwrap();
    assert_eq!(list[0].position, poison);
    assert!(list[0].reason.starts_with("the database refuses it"), "{}", list[0].reason);
    assert_eq!(list[1].reason, "an earlier event of its stream is parked");
    let done = fixture.rows("SELECT id FROM tasks WHERE status = 'done'").await;
    assert_eq!(done.len(), 9, "every other stream flows");
}

pub(crate) async fn text_with_nul_is_parked(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let owner = user(1);
    log.task(1, owner, created(owner, "a\0b")).await;
    log.task(2, owner, created(owner, "Two")).await;
    log.task(2, owner, renamed("\0")).await;
    log.account(owner, registered("nul\0@example.org")).await;
    log.append_raw(&StreamName::raw("odd\u{7f}"), owner, "odd.\u{7f}", Bytes::from_static(b"{}")).await;
    log.task(3, owner, created(owner, "Three")).await;
    let report = fixture.catch_up(1).await;
    assert_eq!((report.tasks, report.accounts, report.audit, report.parked), (2, 0, 6, 4));
    let reasons = parked(&fixture.read_models, 0).await.unwrap();
    assert!(reasons[0].reason.contains("title contains U+0000"), "{}", reasons[0].reason);
    assert!(reasons[2].reason.contains("email contains U+0000"), "{}", reasons[2].reason);
}

pub(crate) async fn a_misplaced_event_is_parked(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let owner = user(1);
    // An event before the creation of its task, a task of someone else, another kind of stream.
    log.task(1, owner, TaskCompleted {}).await;
    log.task(2, owner, created(user(2), "Not mine")).await;
    log.append(&StreamName::session(super::writer::session(1)), owner, created(owner, "No session").encode())
        .await;
    log.task(3, owner, created(owner, "Three")).await;
    let report = fixture.catch_up(1).await;
    assert_eq!((report.tasks, report.sessions, report.audit, report.parked), (1, 0, 4, 3));
    let reasons: Vec<String> =
        parked(&fixture.read_models, 0).await.unwrap().into_iter().map(|event| event.reason).collect();
    assert_eq!(
        reasons,
        [
            "its stream does not begin with this type",
            "its subject is not the one whom its stream is about",
            "its type does not belong into its stream"
        ]
    );
}

/// A log that takes its time holds up nobody who projects meanwhile.
pub(crate) async fn another_try_holds_up_nobody_while_it_reads(fixture: Fixture) {
    let running = fixture.project(1, InProcessBus::new()).await;
    let mut log = Writer::new(&fixture.store);
    let stream = StreamName::task(task(1));
    log.append_raw(&stream, user(1), "task.teleported", Bytes::from_static(b"{}")).await;
    assert_eq!(fixture.caught_up().await.parked, 1);
    let slow = FaultyStore::over(fixture.store.clone());
    *slow.page_takes.lock().unwrap() = Duration::from_secs(5);
    let read_models = fixture.read_models.clone();
    let retrying = tokio::spawn(async move { retry(&*slow, &read_models, &stream).await });
    for number in 2..10 {
        log.task(number, user(1), created(user(1), "Meanwhile")).await;
        eventually("it is projected", async || {
            fixture.count("tasks").await == u64::try_from(number).unwrap() - 1
        })
        .await;
    }
    assert!(!retrying.is_finished(), "the log was read in no time");
    assert_eq!(retrying.await.unwrap().unwrap().parked, 1);
    running.stop().await;
}

pub(crate) async fn millions_of_parked_events_are_read_and_counted_in_parts(fixture: Fixture) {
    // Two of each stream, beyond the end of the log.
    let owner = user(1);
    fixture
        .run(&format!(
            "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
             WITH RECURSIVE numbers(number) AS (
                 SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 10100
             )
             SELECT 1000000 + number, 'task-' || (number / 2), number, 'task.created', '{owner}', 'test', 1 FROM numbers"
        ))
        .await;
    let (mut after, mut found, mut streams) = (0, 0, 0);
    loop {
        let page = parked(&fixture.read_models, after).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 500, "a page of {}", page.len());
        assert!(page[0].position > after && page.is_sorted_by_key(|event| event.position));
        (after, found) = (last.position, found + page.len());
        streams += page.iter().filter(|event| event.is_first).count();
    }
    assert_eq!((found, streams), (10_100, 5_051));
    let one = parked_at(&fixture.read_models, 1_000_003).await.unwrap().unwrap();
    assert_eq!((one.stream.as_str(), one.is_first), ("task-1", false));
    assert_eq!(parked_at(&fixture.read_models, 3).await.unwrap(), None);

    let running = fixture.project(1, InProcessBus::new()).await;
    eventually("the metric counts as far as it goes", async || {
        metric(&running, "taskledger_projector_parked_events").await == 10_000
    })
    .await;
    running.stop().await;
    let status = projector::status(&*fixture.store, &fixture.read_models, partitions(1)).await;
    assert_eq!(status.unwrap().partitions[0].parked, 10_100);

    // Whole pages of no known form hide nothing behind them.
    fixture.run("UPDATE parked_events SET version = -version WHERE position < 1010100").await;
    let readable = parked(&fixture.read_models, 0).await.unwrap();
    assert_eq!(readable.len(), 1, "{readable:?}");
}
