//! Unreadable records of the log and rows of the read models, among readable ones.

use bus::InProcessBus;
use events::{StreamName, TaskCompleted};
use projector::{discard, parked};
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{Fixture, eventually},
    writer::{Writer, created, registered, renamed, started, task, user},
};

/// Damages of a record, each with the reason for which it is parked.
const RECORDS: [(&str, &str); 5] = [
    ("encoding = 'cbor'", "encoding"),
    ("metadata = '{'", "metadata"),
    (r#"metadata = replace(metadata, '"actor":"', '"actor":"robot-')"#, "metadata"),
    ("metadata = replace(metadata, 'causation_id', 'cause')", "metadata"),
    ("schema_version = 70000", "schema version"),
];

/// Damages of a row: the table, the change, and the damaged column.
const ROWS: [(&str, &str, &str); 6] = [
    ("tasks", "status = 'blocked'", "status"),
    ("tasks", "priority = 17", "priority"),
    ("tasks", "due = 'soon'", "due"),
    ("tasks", "tags = '{'", "tags"),
    ("accounts", r#"roles = '["emperor"]'"#, "roles"),
    ("sessions", "end_reason = 'boredom', ended_at = 1", "end_reason"),
];

/// Damages of the projector's own tables, which concern task 1 of user 1 or a checkpoint.
const OWN_ROWS: [&str; 8] = [
    "UPDATE checkpoints SET position = -7",
    "UPDATE checkpoints SET partition = -1",
    "INSERT INTO checkpoints (partitions, partition, position) VALUES (1, 7, 3)",
    "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
     SELECT -1, 'task-' || CAST(id AS TEXT), -3, 'task.renamed', owner, 'by hand', -2 FROM tasks WHERE title = 'One'",
    "INSERT INTO discarded_events (position, stream, version, type, subject, reason)
     SELECT -1, 'task-' || CAST(id AS TEXT), -3, 'task.renamed', owner, 'by hand' FROM tasks WHERE title = 'One'",
    "INSERT INTO erased_subjects (subject, position) SELECT owner, -1 FROM tasks WHERE title = 'One'",
    "INSERT INTO unfinished_purges (task, position) SELECT id, -1 FROM tasks WHERE title = 'One'",
    "UPDATE accounts SET version = -1, position = -1 WHERE email = 'one@example.org'",
];
/// Columns of SQLite may hold values of any type.
const OWN_ROWS_IN_SQLITE: [&str; 3] = [
    "UPDATE checkpoints SET position = 'far'",
    "UPDATE checkpoints SET event_id = 'none'",
    "INSERT INTO unfinished_erasures (subject) VALUES ('nobody')",
];
const OWN_ROWS_IN_POSTGRES: [&str; 1] = ["UPDATE partition_leases SET partition = 7"];

/// Three tasks of one person, each of two events; the second event of task 2 is at position 5.
async fn three_tasks(log: &mut Writer) {
    for number in 1..=3 {
        log.task(number, user(1), created(user(1), "Task")).await;
    }
    for number in 1..=3 {
        log.task(number, user(1), TaskCompleted {}).await;
    }
}

async fn done(fixture: &Fixture) -> u64 {
    fixture.count("tasks WHERE status = 'done'").await
}

pub(crate) async fn an_unreadable_record_parks_its_stream_only(fixture: Fixture) {
    for (damage, reason) in RECORDS {
        let fixture = fixture.fresh_log().await;
        let (bus, mut log) = (InProcessBus::new(), Writer::new(&fixture.store));
        three_tasks(&mut log).await;
        fixture.damage_log(&format!("UPDATE events SET {damage} WHERE position = 5")).await;

        // From the log, at the start.
        let running = fixture.project(3, bus.clone()).await;
        let report = fixture.caught_up().await;
        assert_eq!((report.tasks, report.parked), (3, 1), "{damage}");
        assert_eq!(done(&fixture).await, 2, "{damage}");

        // Live: later events of its stream are parked, and other streams continue.
        log.task(2, user(1), renamed("Two")).await;
        log.task(1, user(1), renamed("One")).await;
        let report = fixture.caught_up().await;
        assert_eq!((report.parked, fixture.count("tasks WHERE title = 'One'").await), (2, 1));
        let list = parked(&fixture.read_models, 0).await.unwrap();
        assert_eq!((list[0].position, list[1].position), (5, 7), "{damage}");
        assert!(
            list[0].reason.contains("cannot be read") && list[0].reason.contains(reason),
            "{damage}: {}",
            list[0].reason
        );
        let sampled = fixture.sample(10).await;
        assert_eq!((sampled.tasks, sampled.differences), (3, vec![]), "{damage}");

        rebuild(&fixture).await;
        assert_eq!(fixture.caught_up().await.parked, 2, "{damage}");

        // A retry has the same result, and without the event the stream continues.
        let stream = StreamName::task(task(2));
        assert_eq!(fixture.retry(&stream).await, (0, 2), "{damage}");
        discard(&fixture.read_models, 5).await.unwrap();
        assert_eq!(fixture.retry(&stream).await, (1, 0), "{damage}");
        let report = fixture.caught_up().await;
        assert_eq!((report.parked, fixture.count("tasks WHERE title = 'Two'").await), (0, 1));
        running.stop().await;
    }
}

async fn rebuild(fixture: &Fixture) {
    let rebuild = fixture.built(3).await;
    assert_eq!(rebuild.compare(|_| {}).await.unwrap().differences, Vec::<String>::new());
    rebuild.swap(&CancellationToken::new()).await.unwrap();
}

/// An unreadable first event of a stream, without a subject, still has a partition.
pub(crate) async fn a_stream_that_begins_unreadable_is_parked_whole(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    three_tasks(&mut log).await;
    fixture.damage_log("UPDATE events SET metadata = '{' WHERE position = 2").await;
    let report = fixture.catch_up(4).await;
    assert_eq!((report.tasks, report.parked, done(&fixture).await), (2, 2, 2));
}

pub(crate) async fn an_unreadable_row_parks_its_stream_only(fixture: Fixture) {
    for (table, damage, column) in ROWS {
        let fixture = fixture.fresh_log().await;
        let mut log = Writer::new(&fixture.store);
        for number in 1..=2 {
            let owner = user(number);
            log.account(owner, registered("somebody@example.org")).await;
            log.session(number, owner, started(owner)).await;
            log.task(number, owner, created(owner, "Task")).await;
        }
        let running = fixture.project(1, InProcessBus::new()).await;
        fixture.caught_up().await;
        let id = match table {
            "tasks" => task(1).to_string(),
            "accounts" => user(1).to_string(),
            _ => super::writer::session(1).to_string(),
        };
        fixture.run(&format!("UPDATE {table} SET {damage} WHERE id = '{id}'")).await;
        for number in 1..=2 {
            let owner = user(number);
            log.account(owner, events::AccountDisabled::default()).await;
            let refreshed =
                events::SessionRefreshed { refresh_hash: "another secret".into(), client: None, used: None };
            log.session(number, owner, refreshed).await;
            log.task(number, owner, TaskCompleted {}).await;
        }
        eventually("everything is projected", async || fixture.count("audit_log").await == 12).await;
        let list = parked(&fixture.read_models, 0).await.unwrap();
        assert_eq!(list.len(), 1, "{damage}: {list:?}");
        assert!(
            list[0].reason.contains("its row cannot be read") && list[0].reason.contains(column),
            "{damage}: {}",
            list[0].reason
        );
        let report = fixture.report().await;
        assert!(
            report.differences.iter().any(|difference| difference.contains(&id)),
            "{damage}: {:?}",
            report.differences
        );
        running.stop().await;

        // The rows of a rebuild come from the log.
        let rebuild = fixture.built(1).await;
        rebuild.swap(&CancellationToken::new()).await.unwrap();
        assert_eq!(fixture.caught_up().await.parked, 0, "{damage}");
    }
}

pub(crate) async fn a_row_of_the_projector_itself_stops_nobody_else(fixture: Fixture) {
    let mut damages = OWN_ROWS.to_vec();
    if fixture.is_postgres() {
        damages.extend(OWN_ROWS_IN_POSTGRES);
    } else {
        damages.extend(OWN_ROWS_IN_SQLITE);
    }
    for damage in damages {
        let fixture = fixture.fresh_log().await;
        let (bus, mut log) = (InProcessBus::new(), Writer::new(&fixture.store));
        for (number, title) in [(1, "One"), (2, "Two")] {
            let owner = user(number);
            log.account(owner, registered(&format!("{}@example.org", title.to_lowercase()))).await;
            log.task(number, owner, created(owner, title)).await;
        }
        let running = fixture.project(1, bus.clone()).await;
        fixture.caught_up().await;
        fixture.run(damage).await;
        for number in 1..=2 {
            log.task(number, user(number), TaskCompleted {}).await;
        }
        let two = "tasks WHERE title = 'Two' AND status = 'done'";
        eventually(damage, async || fixture.count(two).await == 1).await;
        running.stop().await;

        // Also in a process that begins with it.
        if damage.starts_with("UPDATE") {
            fixture.run(damage).await;
        }
        let running = fixture.project(1, bus).await;
        let renamed = renamed("Three");
        log.task(2, user(2), renamed).await;
        eventually(damage, async || fixture.count("tasks WHERE title = 'Three'").await == 1).await;
        running.stop().await;

        let rebuild = fixture.built(1).await;
        rebuild.swap(&CancellationToken::new()).await.unwrap();
        assert_eq!(fixture.catch_up(1).await.parked, 0, "{damage}");
    }
}
