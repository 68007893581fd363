//! The read models are rebuilt beside those in use, and replace them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bus::InProcessBus;
use bytes::Bytes;
use events::{AccountErased, StreamName, TaskCompleted};
use projector::{Rebuild, RebuildError, discard, parked};
use tokio::{runtime::Handle, task::block_in_place};
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{Fixture, eventually, pace, partitions},
    relay::Relay,
    writer::{Writer, created, registered, renamed, started, task, user},
};

const TABLES: [(&str, &str); 11] = [
    ("tasks", "id"),
    ("accounts", "id"),
    ("sessions", "id"),
    ("audit_log", "position"),
    ("task_history", "position"),
    ("parked_events", "position"),
    ("discarded_events", "position"),
    ("erased_subjects", "subject"),
    ("unfinished_erasures", "subject"),
    ("unfinished_purges", "task"),
    ("checkpoints", "partition"),
];

/// Every row of every table, as text.
pub(crate) async fn dump(fixture: &Fixture) -> Vec<String> {
    let mut rows = Vec::new();
    for (table, key) in TABLES {
        let sql = if fixture.is_postgres() {
            format!("SELECT ROW(t.*)::text AS line FROM {table} t ORDER BY {key}")
        } else {
            let columns = fixture
                .rows(&format!("SELECT name FROM pragma_table_xinfo('{table}')"))
                .await
                .iter()
                .map(|row| format!("quote({})", row.text("name").unwrap()))
                .collect::<Vec<_>>()
                .join(" || ',' || ");
            format!("SELECT {columns} AS line FROM {table} ORDER BY {key}")
        };
        for row in fixture.rows(&sql).await {
            rows.push(format!("{table}: {}", row.text("line").unwrap()));
        }
    }
    rows
}

pub(crate) async fn history(log: &mut Writer, count: u128) {
    for number in 0..count {
        let owner = user(number % 7);
        log.task(number, owner, created(owner, "Task")).await;
        if number % 2 == 0 {
            log.task(number, owner, TaskCompleted {}).await;
        }
    }
}

pub(crate) async fn a_rebuild_gives_the_same_rows_and_can_be_undone(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 40).await;
    log.account(user(1), registered("person@example.org")).await;
    log.session(1, user(1), started(user(1))).await;
    log.account(user(3), registered("gone@example.org")).await;
    log.account(user(3), AccountErased {}).await;
    let poisoned = StreamName::task(task(1));
    let poison = log.append_raw(&poisoned, user(1), "task.teleported", Bytes::from_static(b"{}")).await;
    log.task(1, user(1), TaskCompleted {}).await;
    let other = log.append_raw(&StreamName::task(task(2)), user(2), "task.teleported", Bytes::new()).await;
    fixture.catch_up(2).await;
    // One is discarded, the other was retried.
    discard(&fixture.read_models, poison).await.unwrap();
    fixture.retry(&poisoned).await;
    fixture.retry(&StreamName::task(task(2))).await;
    let before = dump(&fixture).await;

    let rebuild = fixture.rebuild(2).await;
    assert!(matches!(rebuild.rollback().await, Err(RebuildError::NoPrevious)));
    let second = Rebuild::open(&fixture.url(), fixture.store.clone(), partitions(2), pace()).await;
    assert!(matches!(second, Err(RebuildError::AlreadyRunning)));
    let mut told = Vec::new();
    let complete = rebuild.build(&CancellationToken::new(), |progress| told.push(progress)).await;
    assert!(complete.unwrap());
    assert_eq!(told.last().unwrap().position, told.last().unwrap().head);
    let comparison = rebuild.compare(|_| {}).await.unwrap();
    assert_eq!(comparison.differences, Vec::<String>::new());
    assert!(comparison.tables.iter().all(|table| table.moved == 0 && table.digests[0] == table.digests[1]));
    assert_eq!(dump(&fixture).await, before, "building changes nothing");
    fixture.run("UPDATE tasks SET title = 'Tampered' WHERE status = 'open'").await;
    let comparison = rebuild.compare(|_| {}).await.unwrap();
    assert!(!comparison.differences.is_empty());
    let tampered = dump(&fixture).await;

    rebuild.swap(&CancellationToken::new()).await.unwrap();
    assert_eq!(dump(&fixture).await, before);
    assert_eq!(parked(&fixture.read_models, 0).await.unwrap()[0].position, other);
    assert_eq!(fixture.caught_up().await.differences, Vec::<String>::new());

    rebuild.rollback().await.unwrap();
    assert_eq!(dump(&fixture).await, tampered);
    rebuild.rollback().await.unwrap();
    assert_eq!(dump(&fixture).await, before);
}

/// Each time some rows were compared, the live tables have projected another event.
pub(crate) async fn tables_that_grow_all_the_time_are_compared_to_their_end(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 10).await;
    fixture.catch_up(2).await;
    let rebuild = fixture.built(2).await;
    let grow = "INSERT INTO audit_log (position, stream, version, event_id, type, subject, actor, correlation_id,
            causation_id, recorded_at)
         SELECT position + 1, stream, version, event_id, type, subject, actor, correlation_id, causation_id, recorded_at
         FROM audit_log ORDER BY position DESC LIMIT 1";
    let mut times = 0;
    let comparison = rebuild.compare(|_| {
        times += 1;
        // Without an end, the test would not end either.
        if times < 100 {
            block_in_place(|| Handle::current().block_on(fixture.run(grow)));
        }
    });
    let comparison = comparison.await.unwrap();
    assert!(times < 100, "{times}");
    assert_eq!(comparison.differences, Vec::<String>::new());
    assert!(comparison.tables.iter().any(|table| table.moved > 0));
}

/// A process that lacks something, as the keys of people, parks what others have projected.
pub(crate) async fn tables_in_which_more_is_parked_take_over_only_by_force(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 10).await;
    log.append_raw(&StreamName::task(task(1)), user(1), "task.teleported", Bytes::new()).await;
    fixture.catch_up(2).await;
    fixture.run("DELETE FROM parked_events").await;
    let before = dump(&fixture).await;
    let rebuild = fixture.built(2).await;
    let refused = rebuild.swap(&CancellationToken::new()).await;
    assert!(matches!(refused, Err(RebuildError::MoreParked { live: 0, next: 1 })), "{refused:?}");
    assert_eq!(dump(&fixture).await, before);
    let rebuild = rebuild.accepting_more_parked(true);
    rebuild.swap(&CancellationToken::new()).await.unwrap();
    assert_eq!(fixture.count("parked_events").await, 1);
}

pub(crate) async fn an_interrupted_rebuild_goes_on_where_it_was(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 120).await;
    fixture.catch_up(2).await;
    let before = dump(&fixture).await;
    // It checks for a stop at each page, so it stops after the first.
    let stop = CancellationToken::new();
    stop.cancel();
    let mut reached = 0;
    let complete = fixture.rebuild(2).await.build(&stop, |progress| reached = progress.position).await;
    assert!(!complete.unwrap());
    assert!(reached > 0, "a page is finished");
    let mut first = None;
    let rebuild = fixture.rebuild(2).await;
    let complete = rebuild
        .build(&CancellationToken::new(), |progress| {
            first.get_or_insert(progress.start);
        })
        .await;
    assert!(complete.unwrap());
    assert_eq!(first, Some(reached));
    let interrupted = rebuild.swap(&stop).await;
    assert!(matches!(interrupted, Err(RebuildError::Interrupted)));
    assert!(matches!(rebuild.rollback().await, Err(RebuildError::NoPrevious)));
    rebuild.swap(&CancellationToken::new()).await.unwrap();
    assert_eq!(dump(&fixture).await, before);

    // Restarted on request.
    assert!(!rebuild.build(&stop, |_| {}).await.unwrap());
    rebuild.restart().await.unwrap();
    let mut first = None;
    let complete = rebuild
        .build(&CancellationToken::new(), |progress| {
            first.get_or_insert(progress.start);
        })
        .await;
    assert!(complete.unwrap());
    assert_eq!(first, Some(0));
}

pub(crate) async fn projectors_work_and_readers_read_through_swaps(fixture: Fixture) {
    let bus = InProcessBus::new();
    let running = [fixture.project(2, bus.clone()).await, fixture.project(2, bus.clone()).await];
    let ended = Arc::new(AtomicBool::new(false));
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 60).await;

    // A reader that has seen a checkpoint never sees an older state afterwards.
    let reading = tokio::spawn({
        let (read_models, ended) = (fixture.read_models.clone(), ended.clone());
        async move {
            let mut looks = 0_u64;
            while !ended.load(Ordering::Relaxed) {
                let floor = "SELECT MIN(position) AS position FROM checkpoints WHERE partitions = 2";
                let floor = read_models.fetch_optional(floor, &[]).await.unwrap().unwrap();
                let floor = floor.optional_integer("position").unwrap().unwrap_or(0);
                let sql = "SELECT COUNT(*) AS rows FROM audit_log WHERE position <= $1";
                let rows = read_models.fetch_optional(sql, &[floor.into()]).await.unwrap().unwrap();
                assert_eq!(rows.integer("rows").unwrap(), floor, "rows are behind the checkpoint");
                looks += 1;
            }
            looks
        }
    });
    let writing = tokio::spawn({
        let (ended, bus) = (ended.clone(), bus.clone());
        let mut relay = Relay::new(&fixture.store, 2);
        async move {
            let mut number = 1_000;
            while !ended.load(Ordering::Relaxed) {
                let owner = user(number % 7);
                log.task(number, owner, created(owner, "Task")).await;
                log.task(number, owner, renamed(format!("Number {number}"))).await;
                relay.publish(bus.as_ref()).await;
                number += 1;
            }
        }
    });
    for _ in 0..4 {
        let rebuild = fixture.built(2).await;
        let comparison = rebuild.compare(|_| {}).await.unwrap();
        assert_eq!(comparison.differences, Vec::<String>::new());
        swapped(async || rebuild.swap(&CancellationToken::new()).await).await;
        let head = fixture.store.head().await.unwrap();
        eventually("the projection goes on", async || fixture.count("audit_log").await > head).await;
        swapped(async || rebuild.rollback().await).await;
    }
    ended.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    assert!(reading.await.unwrap() > 10);
    assert_eq!(fixture.caught_up().await.differences, Vec::<String>::new());
    assert_eq!(parked(&fixture.read_models, 0).await.unwrap(), []);
    for running in running {
        running.stop().await;
    }
}

/// A swap under load may find the files busy or take too long; then nothing has changed and it is retried.
async fn swapped(mut swap: impl AsyncFnMut() -> Result<u64, RebuildError>) {
    eventually("the tables change places", async || match swap().await {
        Ok(_) => true,
        Err(RebuildError::Behind { .. }) => false,
        Err(RebuildError::Database(error)) if error.is_unavailable() => false,
        Err(error) => panic!("{error}"),
    })
    .await;
}

pub(crate) async fn what_is_discarded_during_a_rebuild_stays_discarded(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 10).await;
    let stream = StreamName::task(task(1));
    let poison = log.append_raw(&stream, user(1), "task.teleported", Bytes::from_static(b"{}")).await;
    log.task(1, user(1), TaskCompleted {}).await;
    fixture.catch_up(2).await;
    let mut signals = fixture.read_models.signals("taskledger_checkpoints");
    if fixture.is_postgres() {
        assert_eq!(signals.next().await, None, "it listens");
    }
    let rebuild = fixture.built(2).await;
    let mut tx = fixture.read_models.begin().await.unwrap();
    tx.signal("taskledger_checkpoints", "mine", "mine");
    tx.commit().await.unwrap();
    let first = signals.next().await;
    assert_eq!(first.as_deref(), Some("mine"), "what is being built is announced to nobody");
    discard(&fixture.read_models, poison).await.unwrap();
    fixture.retry(&stream).await;
    let before = dump(&fixture).await;
    rebuild.swap(&CancellationToken::new()).await.unwrap();
    assert_eq!(dump(&fixture).await, before);
    assert_eq!(fixture.caught_up().await.parked, 0);
}
