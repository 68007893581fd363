//! The conformance suite on KurrentDB, and faults that only KurrentDB can have. Runs against the server that
//! `KURRENTDB_URL` names, each test with streams of its own; without one, against a stand-in that behaves as a real
//! server does. The output of the test `names_its_server` says which of the two was used.
//!
//! Each of these was taken out of the store, and what stands beside it was seen to fail on the stand-in:
//!
//! - A stream of appends that is given up is reset, and a refusal ends none: `a_thousand_conflicts_end_nothing`,
//!   `streams_that_are_given_up_are_reset`.
//! - A time-out says nothing, and the same append is sent again: `streams_that_are_given_up_are_reset`,
//!   `server_that_stood_still_goes_on`.
//! - What was found of the end of the log is kept: `probes_do_not_read_what_others_wrote`,
//!   `end_of_an_old_log_is_found_at_once`.
//! - Readiness does not read the log: `probes_do_not_read_what_others_wrote`,
//!   `wrong_passwords_and_missing_rights_are_said_at_the_start`.
//! - A connection is pinged every two seconds, and a late answer is noticed: `frozen_leader_is_left`.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "kurrentdb/cluster.rs"]
mod cluster;
mod conformance;
#[path = "kurrentdb/costs.rs"]
mod costs;
#[path = "kurrentdb/faults.rs"]
mod faults;
#[path = "kurrentdb/shared_server.rs"]
mod shared_server;
#[path = "kurrentdb/starting.rs"]
mod starting;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use conformance::{
    TestLog, assert_exactly, assert_in_order, conflict, conformance, event, events, stream, whole_log,
};
use event_store::{EventStore, StoreError};
use events::{EventId, RecordedEvent};
use eventstore::{AppendToStreamOptions, EventData, ReadStreamOptions};
use kurrentdb_stand_in::{Behaviour, StandIn};
use tokio::time::timeout;
use uuid::Uuid;

/// The server of one test, or a prefix of its own on a real one.
enum KurrentDbLog {
    StandIn(StandIn),
    Server { url: String },
}

async fn fresh() -> KurrentDbLog {
    match std::env::var("KURRENTDB_URL") {
        Ok(server) => {
            let separator = if server.contains('?') { '&' } else { '?' };
            let prefix = Uuid::now_v7().simple();
            KurrentDbLog::Server { url: format!("{server}{separator}streamPrefix=test-{prefix}-") }
        }
        Err(_) => KurrentDbLog::StandIn(StandIn::start()),
    }
}

fn url(server: &StandIn) -> String {
    format!("kurrentdb://{}?tls=false", server.address())
}

async fn open(server: &StandIn) -> Arc<dyn EventStore> {
    event_store::open(&url(server), 1).await.expect("a store")
}

#[async_trait]
impl TestLog for KurrentDbLog {
    async fn store(&self) -> Arc<dyn EventStore> {
        match self {
            Self::StandIn(server) => open(server).await,
            Self::Server { url } => event_store::open(url, 1).await.expect("a server at KURRENTDB_URL"),
        }
    }

    fn dense(&self) -> bool {
        false
    }
}

conformance!(fresh);

#[tokio::test]
async fn names_its_server() {
    match fresh().await {
        KurrentDbLog::StandIn(server) => {
            eprintln!("KurrentDB: a stand-in at {}", server.address());
        }
        KurrentDbLog::Server { .. } => eprintln!("KurrentDB: the server that KURRENTDB_URL names"),
    }
}

/// The server has done the append and the answer is lost: the store finds it, and the events are there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_double_nothing() {
    let server = StandIn::start();
    let store = open(&server).await;
    let (first, second) = (events(2), events(1));
    server.lose_answers(2);
    let appended = store.append(&stream("task-1"), 0, first.clone()).await.unwrap();
    assert_eq!(appended.version, 2);
    assert_eq!(store.head().await.unwrap(), appended.position);

    server.lose_answers(1);
    assert_eq!(conflict(store.append(&stream("task-1"), 0, second.clone()).await), 2);
    store.append(&stream("task-1"), 2, second.clone()).await.unwrap();

    let log = whole_log(&*store).await;
    assert_in_order(&log, false);
    assert_exactly(&log, first.iter().chain(&second).map(|event| event.id));
}

/// A promise of KurrentDB beyond the contract: appending the same events at the same version again is not a conflict.
/// Other events are.
#[tokio::test]
async fn same_events_again_are_no_conflict() {
    let log = fresh().await;
    let store = log.store().await;
    let new = events(2);
    let appended = store.append(&stream("task-1"), 0, new.clone()).await.unwrap();
    store.append(&stream("task-1"), 2, events(1)).await.unwrap();

    let again = store.append(&stream("task-1"), 0, new.clone()).await.unwrap();
    assert_eq!(again, appended);
    assert_eq!(conflict(store.append(&stream("task-1"), 1, new).await), 3);
    assert_eq!(whole_log(&*store).await.len(), 3);
}

#[tokio::test]
async fn names_of_the_system_are_refused() {
    let log = fresh().await;
    let store = log.store().await;
    let mut system_event = event("{}");
    system_event.kind = "$metadata".to_owned();
    for (name, new) in [("$task-1", event("{}")), ("task-1", system_event)] {
        let result = store.append(&stream(name), 0, vec![new]).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    assert_eq!(store.head().await.unwrap(), 0);
}

/// The vendor's client can read what the store has appended. An event of the vendor's client belongs to the log only
/// if it has the stream and the metadata of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vendors_client_understands_the_store_and_the_store_it() {
    let server = StandIn::start();
    let url = format!("{}&streamPrefix=ours.", url(&server));
    let store = event_store::open(&url, 1).await.unwrap();
    let new = events(2);
    store.append(&stream("task-1"), 0, new.clone()).await.unwrap();
    let log = whole_log(&*store).await;

    let client = eventstore::Client::new(url.parse().unwrap()).unwrap();
    let read = async {
        let options = ReadStreamOptions::default();
        let mut reading = client.read_stream("ours.task-1", &options).await.unwrap();
        let mut read = Vec::new();
        while let Some(event) = reading.next().await.unwrap() {
            read.push(event.event.unwrap());
        }
        read
    };
    let read = timeout(conformance::DEADLINE, read).await.expect("in time");
    let seen =
        read.iter().map(|event| (event.id, &*event.event_type, event.revision + 1, event.position.commit));
    let appended = log.iter().map(|event| (event.id.0, &*event.kind, event.version, event.position));
    assert!(seen.eq(appended), "{read:?} {log:?}");
    assert!(read.iter().map(|event| &event.data).eq(new.iter().map(|event| &event.data)));

    let append = async |name: &str, event: EventData| {
        let options = AppendToStreamOptions::default();
        let append = client.append_to_stream(name, &options, event);
        let appended = timeout(conformance::DEADLINE, append).await.expect("in time");
        appended.unwrap()
    };
    let others = || EventData::binary("task.renamed", new[0].data.clone());
    append("orders-1", others()).await;
    append("ours.task-2", others()).await;
    let id = Uuid::now_v7();
    let like_ours = others().id(id).metadata(read[0].custom_metadata.clone());
    let appended = append("ours.task-1", like_ours).await;

    let expected =
        RecordedEvent { id: EventId(id), version: 3, position: appended.position.commit, ..log[0].clone() };
    assert_eq!(whole_log(&*store).await, [log, vec![expected]].concat());
    store.append(&stream("task-1"), 3, events(1)).await.unwrap();
}

/// No call waits for the server's delayed acknowledgement of packets, which takes 40 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_one_after_the_other_are_quick() {
    let server = StandIn::with(Behaviour { longest_indexing: Duration::ZERO, ..Behaviour::default() });
    let store = open(&server).await;
    let mut times: [Vec<Duration>; 6] = Default::default();
    for version in 0..21 {
        let mut start = Instant::now();
        let mut time = |call: usize| {
            times[call].push(start.elapsed());
            start = Instant::now();
        };
        store.append(&stream("task-1"), version, events(1)).await.unwrap();
        time(0);
        store.stream_page(&stream("task-1"), 0, 100).await.unwrap();
        time(1);
        store.stream_head(&stream("task-1")).await.unwrap();
        time(2);
        store.log_page(0, 100).await.unwrap();
        time(3);
        let head = store.head().await.unwrap();
        time(4);
        store.identify(&[head]).await.unwrap();
        time(5);
    }
    // A delayed acknowledgement would cost each call 40 ms. A busy machine delays only some.
    for times in &mut times {
        times.sort();
        assert!(times[5] < Duration::from_millis(35), "{times:?}");
    }
}
