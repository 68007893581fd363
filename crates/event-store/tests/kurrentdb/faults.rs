//! Faults of a server: refusals, time-outs, lost connections, failing leaders.

use std::{sync::Arc, time::Duration};

use event_store::StoreError;
use kurrentdb_stand_in::{Behaviour, StandIn};
use test_support::{eventually, read_all};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    conformance::{
        assert_exactly, assert_in_order, conflict, event, events, read_stream, stream, take, whole_log,
    },
    open, url,
};

/// A connection has a hundred streams. A client that leaves one open for each refusal cannot continue after a hundred
/// refusals. (The vendor's client does so.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_conflicts_end_nothing() {
    let server = StandIn::start();
    let store = open(&server).await;
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    let refused = async {
        for _ in 0..1_000 {
            assert_eq!(conflict(store.append(&stream("task-1"), 0, events(1)).await), 1);
        }
    };
    timeout(Duration::from_secs(30), refused).await.expect("in time");
    store.append(&stream("task-1"), 1, events(1)).await.unwrap();
    assert_eq!(whole_log(&*store).await.len(), 2);
    eventually("only the stream of appends is open", async || server.open_calls() <= 1).await;
}

/// A stream that is given up does not stay open on the server, whatever ended it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_given_up_are_reset() {
    let server =
        StandIn::with(Behaviour { write_timeout: Duration::from_millis(20), ..Behaviour::default() });
    let store = open(&server).await;
    for version in 0..150 {
        server.lose_answers(1);
        store.append(&stream("task-1"), version, events(1)).await.unwrap();
    }
    for _ in 0..150 {
        let mut subscription = store.subscribe(0);
        take(&mut subscription, 1).await;
        // A read that ends early.
        store.log_page(0, 1).await.unwrap();
    }
    eventually("what was given up is reset", async || server.open_calls() <= 1).await;
    drop(store);
    eventually("nothing is left of the store", async || server.open_calls() == 0).await;
}

/// A conflict affects no other append: concurrent appends are not lost, do not fail, and do not take two seconds
/// because they were sent twice. (The vendor's client repeats them as single calls.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_fail_no_neighbours() {
    let server = StandIn::start();
    let store = open(&server).await;
    store.append(&stream("task-0"), 0, events(1)).await.unwrap();
    let mut kept = vec![whole_log(&*store).await[0].id];
    let mut quickest = Duration::MAX;
    for round in 0..5 {
        let start = Instant::now();
        let mut appends = JoinSet::new();
        for number in 0..200 {
            let store = Arc::clone(&store);
            appends.spawn(async move {
                let new = events(1);
                let id = new[0].id;
                let name = if number % 10 == 0 { "task-0".to_owned() } else { format!("task-{number}") };
                let expected = if number % 10 == 0 { 0 } else { round };
                (number, id, store.append(&stream(&name), expected, new).await)
            });
        }
        let results = appends.join_all().await;
        quickest = quickest.min(start.elapsed());
        for (number, id, result) in results {
            match result {
                Ok(appended) => {
                    assert_eq!(appended.version, round + 1);
                    kept.push(id);
                }
                other => {
                    assert_eq!(number % 10, 0, "{other:?}");
                    assert_eq!(conflict(other), 1);
                }
            }
        }
    }
    assert!(quickest < Duration::from_millis(1_500), "{quickest:?}");
    assert_eq!(kept.len(), 1 + 5 * 180);
    let log = whole_log(&*store).await;
    assert_in_order(&log, false);
    assert_exactly(&log, kept);
}

/// The answer is lost, and the same events are sent again before they are indexed: the server drops them silently and
/// later reports a time-out, which does not show whether the append was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_outs_are_no_answers() {
    let server = StandIn::with(Behaviour {
        longest_indexing: Duration::from_millis(400),
        write_timeout: Duration::from_millis(500),
        ..Behaviour::default()
    });
    let store = open(&server).await;
    let mut ids = Vec::new();
    let mut position = 0;
    for version in 0..10 {
        if version % 2 == 0 {
            server.lose_answers(1);
        } else {
            server.refuse_as_not_ready(1);
        }
        let new = events(1);
        ids.extend(new.iter().map(|event| event.id));
        let appended = store.append(&stream("task-1"), version, new).await.unwrap();
        assert_eq!(appended.version, version + 1);
        assert!(appended.position > position);
        position = appended.position;
    }
    let log = whole_log(&*store).await;
    assert_eq!(log.last().unwrap().position, position);
    assert_exactly(&log, ids);
}

/// The server compares appends with written events, but shows indexed ones. A read after a conflict sees the events
/// that caused it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_after_a_conflict_see_what_it_was_about() {
    let server =
        StandIn::with(Behaviour { longest_indexing: Duration::from_millis(200), ..Behaviour::default() });
    let (one, other) = (open(&server).await, open(&server).await);
    for version in 0..10 {
        let append = tokio::spawn({
            let one = Arc::clone(&one);
            async move { one.append(&stream("task-1"), version, events(1)).await.unwrap() }
        });
        let actual = loop {
            match other.append(&stream("task-1"), version + 5, events(1)).await {
                Err(StoreError::Conflict { actual, .. }) if actual > version => break actual,
                Err(StoreError::Conflict { .. }) => {}
                other => panic!("{other:?}"),
            }
        };
        let page = other.stream_page(&stream("task-1"), version, 10).await;
        assert_eq!(page.unwrap().version(), Some(actual));
        let head = other.stream_head(&stream("task-1")).await;
        assert_eq!(head.unwrap().unwrap().version, actual);
        append.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_survives_a_lost_server() {
    let mut server = StandIn::start();
    // Shorter than usual, and long enough for an append that has to find the server again.
    let short = format!("{}&defaultDeadline=6000", url(&server));
    let store = event_store::open(&short, 1).await.unwrap();
    let mut subscription = store.subscribe(0);
    let task = stream("task-1");
    store.append(&task, 0, events(3)).await.unwrap();
    let mut seen = take(&mut subscription, 3).await;

    for round in 0..3 {
        if round == 1 {
            server.fail_subscriptions();
        } else {
            server.stop();
            let (appended, head, ready) =
                tokio::join!(store.append(&task, 3 + round, events(1)), store.head(), store.can_append(),);
            assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}");
            assert!(matches!(head, Err(StoreError::Unavailable(_))), "{head:?}");
            assert!(matches!(ready, Err(StoreError::Unavailable(_))), "{ready:?}");
            server.start_again();
        }
        store.append(&task, 3 + round, events(1)).await.unwrap();
        seen.extend(take(&mut subscription, 1).await);
    }
    assert_in_order(&seen, false);
    assert_eq!(seen, whole_log(&*store).await);
}

/// A server that stops for a while and continues; the connection string has only one host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_stood_still_goes_on() {
    let server = StandIn::start();
    let store = open(&server).await;
    let mut subscription = store.subscribe(0);
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    take(&mut subscription, 1).await;
    server.freeze(0);
    let append = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.append(&stream("task-1"), 1, events(1)).await }
    });
    sleep(Duration::from_secs(6)).await;
    server.thaw(0);
    assert_eq!(append.await.unwrap().unwrap().version, 2);
    take(&mut subscription, 1).await;
    assert_eq!(whole_log(&*store).await.len(), 2);
}

/// A log that has lost its end, or was replaced by another one, is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_tail_is_noticed() {
    let server = StandIn::start();
    let store = open(&server).await;
    for version in 0..5 {
        let large = event(vec![b'x'; 100 + version as usize]);
        store.append(&stream("task-1"), version, vec![large]).await.unwrap();
    }
    let before = whole_log(&*store).await;
    let head = store.head().await.unwrap();
    server.lose_tail(2);
    let now = whole_log(&*store).await;
    assert!(now.len() < before.len());
    assert_eq!(store.head().await.unwrap(), now.last().unwrap().position);
    assert_eq!(store.identify(&[head]).await.unwrap(), [None]);

    // It grows again, with other records at the positions of the lost ones.
    let version = now.last().unwrap().version;
    for more in 0..4 {
        store.append(&stream("task-1"), version + more, events(1)).await.unwrap();
    }
    let now = whole_log(&*store).await;
    assert_eq!(store.identify(&[head]).await.unwrap(), [None]);
    assert_eq!(store.head().await.unwrap(), now.last().unwrap().position);
    let after: Vec<_> = now.iter().filter(|event| event.position > head).cloned().collect();
    assert_eq!(read_all(&*store, head, 10).await, after);
    assert_eq!(take(&mut store.subscribe(head), after.len()).await, after);

    server.forget();
    assert_eq!(store.head().await.unwrap(), 0);
    assert!(read_all(&*store, 0, 10).await.is_empty());
    let again = store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    assert_eq!(store.head().await.unwrap(), again.position);
}

/// Events that are missing from a truncated stream are reported as damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_streams_are_damage() {
    let server = StandIn::start();
    let store = open(&server).await;
    for name in ["task-1", "task-2", "task-3"] {
        for version in 0..4 {
            store.append(&stream(name), version, events(1)).await.unwrap();
        }
    }
    let last = store.head().await.unwrap();
    server.truncate_stream("task-1", 2);
    server.tombstone("task-2");
    let result = store.stream_page(&stream("task-1"), 0, 10).await;
    assert!(matches!(result, Err(StoreError::Corrupt(_))), "{result:?}");
    assert_eq!(read_stream(&*store, "task-1", 2, 10).await.len(), 2);
    let result = store.stream_page(&stream("task-2"), 0, 10).await;
    assert!(matches!(result, Err(StoreError::Corrupt(_))), "{result:?}");
    let result = store.append(&stream("task-2"), 4, events(1)).await;
    assert!(matches!(result, Err(StoreError::Corrupt(_))), "{result:?}");

    // Even the last event of the log may be gone.
    assert_eq!(store.head().await.unwrap(), last);
    server.truncate_stream("task-3", 4);
    let head = store.head().await.unwrap();
    assert!(head < last);
    assert!(store.identify(&[head]).await.unwrap()[0].is_some());
    assert!(read_all(&*store, last, 10).await.is_empty());
}

/// A stream whose events are all gone is not an empty one: the server refuses to begin it again, so nobody could
/// append.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_have_lost_all_events_are_damage() {
    let server = StandIn::start();
    let store = open(&server).await;
    store.append(&stream("task-1"), 0, events(3)).await.unwrap();
    server.truncate_stream("task-1", 3);
    for _ in 0..2 {
        let result = store.stream_page(&stream("task-1"), 0, 10).await;
        assert!(matches!(result, Err(StoreError::Corrupt(_))), "{result:?}");
        let result = store.stream_head(&stream("task-1")).await;
        assert!(matches!(result, Err(StoreError::Corrupt(_))), "{result:?}");
        assert_eq!(conflict(store.append(&stream("task-1"), 0, events(1)).await), 3);
    }
    assert!(read_stream(&*store, "task-1", 3, 10).await.is_empty());
    assert!(read_stream(&*store, "task-2", 0, 10).await.is_empty());
}

/// A failed read says nothing about the log. Older servers report the same where no record begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_reads_are_no_lost_events() {
    for names_invalid_positions in [true, false] {
        let server = StandIn::with(Behaviour { names_invalid_positions, ..Behaviour::default() });
        let store = open(&server).await;
        let head = store.append(&stream("task-1"), 0, events(2)).await.unwrap().position;
        for _ in 0..10 {
            server.fail_reads(2);
            assert!(store.identify(&[head]).await.unwrap()[0].is_some());
            server.fail_reads(2);
            assert_eq!(store.head().await.unwrap(), head);
            server.fail_reads(2);
            assert_eq!(read_all(&*store, 0, 10).await.len(), 2);
        }
        server.lose_tail(1);
        let others = vec![event("x".repeat(5_000)), event("{}")];
        store.append(&stream("task-2"), 0, others).await.unwrap();
        assert_eq!(store.identify(&[head + 10]).await.unwrap(), [None]);
        assert_eq!(read_all(&*store, head + 10, 10).await.len(), 1);
    }
}
