//! Whoever asks for one event of a long log in KurrentDB reads this event, and not the log up to it. Positions count
//! bytes there, so that nobody knows the position before that of an event, nor where the last thousand events begin.

use std::{iter::once, time::Duration};

use events::{
    Actor, Encoding, EventId, Metadata, NewEvent, Priority, StreamName, TaskCreated, TaskEvent, TaskId,
    TaskRenamed, Timestamp, UserId,
};
use kurrentdb_stand_in::StandIn;
use uuid::Uuid;

use crate::support::{Deployment, Person, System, park_a_later_event, until};

const TIMEOUT: Duration = Duration::from_secs(120);
const TASKS: usize = 12;
const EVENTS_OF_A_TASK: usize = 250;
/// A read of the log up to its last events, one event a call, takes three times as many calls. The system at work makes
/// some calls, too.
const FEW: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_one_event_of_a_long_log_in_kurrentdb_does_not_read_the_log() {
    let server = StandIn::start();
    let mut system = System::prepared(Deployment::Embedded).await;
    let url = format!("kurrentdb://{}?tls=false", server.address());
    system.set("EVENT_STORE_URL", url);
    system.launch_all();
    system.ready().await;
    let ada = Person::join(&system.base, "ada").await;
    let task = ada.create("Parked").await;
    let me = ada.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let (position, id) = fill(&system, me.as_str().unwrap().parse().unwrap()).await;
    let read_models = system.read_models().await;
    until("the log is projected", TIMEOUT, async || {
        projector::completed(&read_models).await.unwrap() >= position
    })
    .await;
    let parked = park_a_later_event(&system, &format!("task-{task}")).await;

    let path = format!("{}/audit/proof?position={position}&id={id}", system.base);
    let is_proved = async || reqwest::get(&path).await.unwrap().status() == 200;
    until("the event is in a checkpoint", TIMEOUT, async || is_proved().await).await;
    let before = server.log_reads();
    assert!(is_proved().await);
    let reads = server.log_reads() - before;
    assert!(reads < FEW, "GET /audit/proof: {reads} reads of the log");

    system.terminate_all();
    let (position, parked) = (position.to_string(), parked.to_string());
    // One stream is parked, which the comparison of a sample says with its exit code.
    for (code, arguments) in [
        (3, &["projection", "verify", "--sample", "3"][..]),
        (0, &["events", "show", &position][..]),
        (0, &["audit", "prove", &position, "--receipt"][..]),
        (1, &["parked", "retry", "--all"][..]),
        (0, &["parked", "discard", &parked, "--yes"][..]),
    ] {
        let before = server.log_reads();
        let (ended, said) = system.outcome(arguments);
        let reads = server.log_reads() - before;
        assert_eq!(ended, code, "{arguments:?}: {said}");
        assert!(reads < FEW, "{arguments:?}: {reads} reads of the log");
    }
    // The whole log is read once, in pages. To find where each of several parts of it begins takes ten times as much.
    let before = server.log_reads();
    let last = (TASKS + 1).to_string();
    let said = system.run(&["events", "tail", "-n", &last, "--type", "task.created"]);
    let reads = server.log_reads() - before;
    assert_eq!(said.lines().count(), TASKS + 1, "{said}");
    assert!(reads < 40, "events tail: {reads} reads of the log");
    // As `restore check` does.
    let store = event_store::open(&system.store_url(), 1).await.unwrap();
    let before = server.log_reads();
    let foreign = projector::foreign_discards(&*store, &read_models).await.unwrap();
    assert_eq!(foreign, Vec::<u64>::new());
    let reads = server.log_reads() - before;
    assert_eq!(reads, 1, "reads of the log to look for one discarded event");
    system.clean().await;
}

/// As a release left it that did not seal events: the first ones are in clear, and the last ones happen to have nothing
/// personal in them.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_kurrentdb_that_was_sealed_late_is_not_used_without_its_keys() {
    let server = StandIn::start();
    let mut system = System::prepared(Deployment::Embedded).await;
    let url = format!("kurrentdb://{}?tls=false", server.address());
    system.set("EVENT_STORE_URL", url);
    let store = event_store::open(&system.store_url(), 1).await.unwrap();
    let in_clear = (Encoding::Json, 500);
    let parts = [in_clear, in_clear, in_clear, (Encoding::Sealed, 1), in_clear];
    for (encoding, count) in parts {
        let events =
            (0..count).map(|number| NewEvent { encoding, ..recorded(UserId(Uuid::nil()), renamed(number)) });
        let stream = StreamName::task(TaskId(Uuid::now_v7()));
        store.append(&stream, 0, events.collect()).await.unwrap();
    }
    let (code, said) = system.outcome(&["projection", "verify"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the log holds sealed events, and no keys of people are at"), "{said}");
    system.clean().await;
}

/// Appends events of tasks of `owner`, and returns the position and the id of the last one.
async fn fill(system: &System, owner: UserId) -> (u64, EventId) {
    let store = system.open_log().await;
    let created = || {
        TaskEvent::from(TaskCreated {
            owner,
            title: "Title".to_owned(),
            description: None,
            priority: Priority::Normal,
            due: None,
            tags: Vec::new(),
        })
    };
    let mut last = (0, EventId(Uuid::nil()));
    for _ in 0..TASKS {
        let of_task = once(created()).chain((1..EVENTS_OF_A_TASK).map(renamed));
        let events: Vec<NewEvent> = of_task.map(|event| recorded(owner, event)).collect();
        let id = events[EVENTS_OF_A_TASK - 1].id;
        let stream = StreamName::task(TaskId(Uuid::now_v7()));
        let appended = store.append(&stream, 0, events).await.unwrap();
        last = (appended.position, id);
    }
    last
}

fn renamed(number: usize) -> TaskEvent {
    TaskEvent::from(TaskRenamed { title: format!("Title {number}") })
}

fn recorded(owner: UserId, event: TaskEvent) -> NewEvent {
    let metadata = Metadata {
        subject: owner,
        actor: Actor::User(owner),
        correlation_id: "request-1".into(),
        causation_id: Uuid::now_v7(),
        traceparent: None,
        idempotency_key: None,
    };
    let recorded_at = Timestamp::from_micros(1_800_000_000_000_000);
    event.encode().into_event(EventId(Uuid::now_v7()), metadata, recorded_at)
}
