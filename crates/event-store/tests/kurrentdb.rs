//! The conformance suite on KurrentDB, and what only KurrentDB can do wrong. Runs against the server that
//! `KURRENTDB_URL` names, each test with streams of its own; without one, against a stand-in that speaks the same
//! protocol. Which of the two it was is in the output of the test `names_its_server`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod conformance;
#[path = "stand-in/mod.rs"]
mod stand_in;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use conformance::{
    TestLog, assert_exactly, assert_in_order, conflict, conformance, event, events, stream, take, whole_log,
};
use event_store::{EventStore, OpenError, StoreError};
use eventstore::{AppendToStreamOptions, Client, EventData};
use futures::StreamExt;
use stand_in::StandIn;
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
            KurrentDbLog::Server {
                url: format!("{server}{separator}streamPrefix=test-{prefix}-"),
            }
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
            Self::Server { url } => event_store::open(url, 1)
                .await
                .expect("a server at KURRENTDB_URL"),
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

/// The server has done the append, the answer is lost: it is found again, and is there once.
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
    assert_eq!(
        conflict(store.append(&stream("task-1"), 0, second.clone()).await),
        2
    );
    store.append(&stream("task-1"), 2, second.clone()).await.unwrap();

    let log = whole_log(&*store).await;
    assert_in_order(&log, false);
    assert_exactly(&log, first.iter().chain(&second).map(|event| event.id));
}

/// What KurrentDB promises beyond the contract: the same events at the same version are there already, which is
/// no conflict. Other events are one.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_survives_a_lost_server() {
    let mut server = StandIn::start();
    let store = open(&server).await;
    let mut subscription = store.subscribe(0);
    store.append(&stream("task-1"), 0, events(3)).await.unwrap();
    let mut seen = take(&mut subscription, 3).await;

    for round in 0..3 {
        if round == 1 {
            server.fail_subscriptions();
        } else {
            server.stop();
            let result = store.append(&stream("task-1"), 3 + round, events(1)).await;
            assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
            assert!(matches!(store.head().await, Err(StoreError::Unavailable(_))));
            server.start_again();
        }
        store
            .append(&stream("task-1"), 3 + round, events(1))
            .await
            .unwrap();
        seen.extend(take(&mut subscription, 1).await);
    }
    assert_in_order(&seen, false);
    assert_eq!(seen, whole_log(&*store).await);
}

/// What others keep on the same server is passed over, wherever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_events_are_passed_over() {
    let server = StandIn::start();
    let store = open(&server).await;
    let others = Client::new(url(&server).parse().unwrap()).unwrap();
    let append_others = async |count: usize| {
        let events: Vec<_> = (0..count)
            .map(|_| EventData::binary("noise", "{}".into()))
            .collect();
        let options = AppendToStreamOptions::default();
        others
            .append_to_stream("task-of-others", &options, events)
            .await
            .unwrap();
    };
    append_others(5).await;
    assert_eq!(store.head().await.unwrap(), 0);
    assert!(store.read_all(0, 1).await.unwrap().is_empty());
    let mut subscription = store.subscribe(0);
    let mut new = Vec::new();
    for version in 0..3 {
        append_others(3).await;
        new.extend(events(1));
        let last = new.last().cloned().into_iter().collect();
        store.append(&stream("task-1"), version, last).await.unwrap();
    }
    let head = store.head().await.unwrap();
    append_others(3).await;

    assert_eq!(store.head().await.unwrap(), head);
    let log = whole_log(&*store).await;
    assert_exactly(&log, new.iter().map(|event| event.id));
    assert_eq!(store.read_all(log[0].position, 1).await.unwrap(), log[1..2]);
    assert_eq!(take(&mut subscription, 3).await, log);
    let result = store.read_stream(&stream("task-of-others"), 0, 10).await;
    assert!(matches!(result, Err(StoreError::Corrupt(_))), "{result:?}");
}

/// An event is Taskledger's if both its stream and its metadata say so. One that is, but is of another layout, hides no
/// other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_another_layout_are_told_apart_from_others_events() {
    let server = StandIn::start();
    let store = open(&server).await;
    let others = Client::new(url(&server).parse().unwrap()).unwrap();
    let append_marked = async |name: &str| {
        let marked = EventData::binary("noise", "{}".into()).metadata(r#"{"taskledger":1}"#.into());
        let options = AppendToStreamOptions::default();
        others.append_to_stream(name, &options, marked).await.unwrap();
    };
    append_marked("noise-1").await;
    assert!(store.log_page(0, 10).await.unwrap().entries.is_empty());
    let ours = "task-019a0000-0000-7000-8000-000000000000";
    append_marked(ours).await;
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    let page = store.log_page(0, 10).await.unwrap();
    assert!(page.entries[0].is_err() && page.entries[1].is_ok(), "{page:?}");
    let page = store.subscribe(0).next().await.unwrap();
    assert!(page.entries[0].is_err(), "{page:?}");
    assert!(store.stream_page(&stream(ours), 0, 10).await.unwrap().entries[0].is_err());
}

#[tokio::test]
async fn prefixes_keep_logs_apart() {
    let server = StandIn::start();
    let (one, other) = (
        format!("{}&streamPrefix=one.", url(&server)),
        format!("{}&streamPrefix=other.", url(&server)),
    );
    let one = event_store::open(&one, 1).await.unwrap();
    let other = event_store::open(&other, 1).await.unwrap();
    let first = one.append(&stream("task-1"), 0, events(1)).await.unwrap();
    let second = other.append(&stream("task-1"), 0, events(2)).await.unwrap();
    assert_eq!(one.head().await.unwrap(), first.position);
    assert_eq!(other.head().await.unwrap(), second.position);
    let log = whole_log(&*one).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].stream, stream("task-1"));
    assert_eq!(take(&mut other.subscribe(0), 2).await, whole_log(&*other).await);
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

/// Found through a cluster's gossip, as every node would be.
#[tokio::test]
async fn cluster_is_discovered() {
    let server = StandIn::start();
    let url = format!("kurrentdb+discover://{}?tls=false", server.address());
    let store = event_store::open(&url, 1).await.unwrap();
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    assert_eq!(whole_log(&*open(&server).await).await.len(), 1);
}

#[tokio::test]
async fn missing_server_is_named() {
    let mut server = StandIn::start();
    server.stop();
    let url = format!("esdb://admin:s3cret@{}?tls=false", server.address());
    let Err(OpenError::Url { url, reason }) = event_store::open(&url, 1).await else {
        panic!("there is no server");
    };
    assert_eq!(url, format!("esdb://admin:***@{}?tls=false", server.address()));
    assert!(reason.starts_with("there is no answer"), "{reason}");
}

/// An append does not wait until the server acknowledges packets, which takes 40 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_one_after_the_other_are_quick() {
    let server = StandIn::start();
    let store = open(&server).await;
    let mut appends = Vec::new();
    for version in 0..21 {
        let start = Instant::now();
        store.append(&stream("task-1"), version, events(1)).await.unwrap();
        appends.push(start.elapsed());
    }
    appends.sort();
    assert!(appends[10] < Duration::from_millis(25), "{appends:?}");
}

/// What is not answered is not lost either: a refused append ends the session of all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_fail_no_neighbours() {
    let server = StandIn::start();
    let store = open(&server).await;
    store.append(&stream("task-0"), 0, events(1)).await.unwrap();
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..200 {
        let store = Arc::clone(&store);
        appends.spawn(async move {
            let new = events(1);
            let id = new[0].id;
            let name = if number % 10 == 0 {
                "task-0".to_owned()
            } else {
                format!("task-{number}")
            };
            (number, id, store.append(&stream(&name), 0, new).await)
        });
    }
    let mut kept = vec![whole_log(&*store).await[0].id];
    for (number, id, result) in appends.join_all().await {
        match result {
            Ok(appended) => {
                assert_eq!(appended.version, 1);
                kept.push(id);
            }
            other => {
                assert_eq!(number % 10, 0, "{other:?}");
                assert_eq!(conflict(other), 1);
            }
        }
    }
    assert_eq!(kept.len(), 181);
    let log = whole_log(&*store).await;
    assert_in_order(&log, false);
    assert_exactly(&log, kept);
}
