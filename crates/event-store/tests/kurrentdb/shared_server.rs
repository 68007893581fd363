//! A server with many events of others, at all positions.

use std::{sync::Arc, time::Duration};

use event_store::{EventStore, StoreError};
use futures::StreamExt;
use kurrentdb_stand_in::{Behaviour, StandIn};
use test_support::read_all;
use tokio::time::{Instant, timeout};

use super::{
    conformance::{assert_exactly, events, stream, take, whole_log},
    open, url,
};

/// A number of events that takes the server more than two seconds to search.
const MANY: usize = 300_000;
/// The time limit of a probe.
const SOON: Duration = Duration::from_secs(4);
/// The time limit of a wait until the server has been searched.
const SEARCHED: Duration = Duration::from_secs(90);

/// A server that takes more than seven seconds to search [`MANY`] events, much longer than [`SOON`].
fn slow_server() -> StandIn {
    StandIn::with(Behaviour { examining: Duration::from_micros(24), ..Behaviour::default() })
}

async fn with_prefix(server: &StandIn, prefix: &str) -> Arc<dyn EventStore> {
    let url = format!("{}&streamPrefix={prefix}", url(server));
    event_store::open(&url, 1).await.expect("a store")
}

async fn soon<T>(what: &str, future: impl Future<Output = Result<T, StoreError>>) -> T {
    timeout(SOON, future)
        .await
        .unwrap_or_else(|_| panic!("{what} takes long"))
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Neither readiness nor finding the end of the log depends on the events of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_do_not_read_what_others_wrote() {
    let server = slow_server();
    server.others_append("orders-1", MANY, 10);
    let store = soon("a start", async { Ok(with_prefix(&server, "new.").await) }).await;
    let before = server.events_examined();
    for _ in 0..10 {
        soon("readiness", store.can_append()).await;
    }
    assert_eq!(server.events_examined(), before);
    // The first search reads everything once. Who asks for the end before it has ended waits for it, unless there is a
    // later event.
    let head = timeout(SOON / 4, store.head()).await;
    assert!(head.is_err(), "{head:?}");
    let appended = store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    assert_eq!(soon("the end of the log", store.head()).await, appended.position);

    let looked = async { while timeout(SOON / 4, store.log_page(0, 10)).await.is_err() {} };
    timeout(SEARCHED, looked).await.expect("one look is enough");
    soon("the end of the log", store.head()).await;
    let examined = server.events_examined();
    for _ in 0..10 {
        assert_eq!(soon("the end of the log", store.head()).await, appended.position);
        assert_eq!(soon("a page", store.log_page(0, 10)).await.entries.len(), 1);
        let empty = soon("an empty page", store.log_page(appended.position, 10)).await;
        assert!(empty.entries.is_empty());
    }
    assert!(server.events_examined() < examined + 1_000, "{}", server.events_examined() - examined);
}

/// A process that has just started does not say that the log is empty, or ends at the newest mark, while it searches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_is_never_below_an_acknowledged_event() {
    let server = StandIn::start();
    for version in [0, 10] {
        let store = with_prefix(&server, "old.").await;
        let appended = store.append(&stream("task-1"), version, events(10)).await.unwrap();
        drop(store);
        server.others_append("orders-1", MANY, 10);
        let store = with_prefix(&server, "old.").await;
        assert_eq!(store.head().await.unwrap(), appended.position);
    }
}

/// However old our last event is, a process that starts does not read all later events of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_an_old_log_is_found_at_once() {
    let server = slow_server();
    let store = with_prefix(&server, "old.").await;
    let appended = store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    assert_eq!(store.head().await.unwrap(), appended.position);
    // 300 MB in the server's file. The running process checks regularly and writes marks.
    for _ in 0..10 {
        server.others_append("orders-1", MANY / 10, 10);
        assert_eq!(soon("the end of an idle log", store.head()).await, appended.position);
    }
    let deadline = Instant::now() + SEARCHED;
    loop {
        assert_eq!(soon("the end of an idle log", store.head()).await, appended.position);
        let before = server.events_examined();
        let other = with_prefix(&server, "old.").await;
        assert_eq!(other.head().await.unwrap(), appended.position);
        if server.events_examined() < before + MANY as u64 / 4 {
            break;
        }
        assert!(Instant::now() < deadline, "there is no mark near the end");
    }
    let one_more = store.append(&stream("task-1"), 1, events(1)).await.unwrap();
    let other = with_prefix(&server, "old.").await;
    assert_eq!(soon("the end", other.head()).await, one_more.position);
    assert_eq!(whole_log(&*other).await.len(), 2);
}

/// Events of others on the same server are ignored, wherever they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_events_are_passed_over() {
    let server = StandIn::start();
    let store = open(&server).await;
    let append_others = |count: usize| server.others_append("task-of-others", count, 2);
    append_others(5);
    assert_eq!(store.head().await.unwrap(), 0);
    assert!(read_all(&*store, 0, 1).await.is_empty());
    let mut subscription = store.subscribe(0);
    let mut new = Vec::new();
    for version in 0..3 {
        append_others(3);
        new.extend(events(1));
        let last = new.last().cloned().into_iter().collect();
        store.append(&stream("task-1"), version, last).await.unwrap();
    }
    let head = store.head().await.unwrap();
    append_others(3);

    assert_eq!(store.head().await.unwrap(), head);
    let log = whole_log(&*store).await;
    assert_exactly(&log, new.iter().map(|event| event.id));
    assert_eq!(read_all(&*store, log[0].position, 1).await, log[1..2]);
    assert_eq!(take(&mut subscription, 3).await, log);
    let result = store.read_stream(&stream("task-of-others"), 0, 10).await;
    assert!(matches!(result, Err(StoreError::Corrupt(_))), "{result:?}");
}

/// An event belongs to Taskledger if both its stream and its metadata say so. One with another layout hides no other,
/// and events of others do no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_another_layout_are_told_apart_from_others_events() {
    let server = StandIn::start();
    let store = open(&server).await;
    let mark = br#"{"taskledger":1}"#;
    server.others_append_with("noise-1", mark);
    for metadata in [
        &b""[..],
        b"\xff\xfe",
        b"null",
        b"[]",
        br#"{"taskledger":"yes"}"#,
        br#"{"taskledger":1,"log":"other."}"#,
    ] {
        server.others_append_with("noise-1", metadata);
        server.others_append_with("task-019a0000-0000-7000-8000-000000000001", metadata);
    }
    assert!(store.log_page(0, 100).await.unwrap().entries.is_empty());
    let ours = "task-019a0000-0000-7000-8000-000000000000";
    server.others_append_with(ours, mark);
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    let page = store.log_page(0, 10).await.unwrap();
    assert!(page.entries[0].is_err() && page.entries[1].is_ok(), "{page:?}");
    let page = store.subscribe(0).next().await.unwrap();
    assert!(page.entries[0].is_err(), "{page:?}");
    assert!(store.stream_page(&stream(ours), 0, 10).await.unwrap().entries[0].is_err());
}

/// The ids at positions between which others wrote a lot are found without a read of all that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_do_not_cost_what_others_wrote_between_them() {
    let server = StandIn::start();
    let store = with_prefix(&server, "new.").await;
    let first = store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    server.others_append("orders-1", 150, 1 << 20);
    let last = store.append(&stream("task-1"), 1, events(1)).await.unwrap();
    let log = whole_log(&*store).await;
    let mut positions: Vec<u64> = (first.position..).take(499).collect();
    positions.push(last.position);
    let before = server.events_sent();
    let ids = store.identify(&positions).await.unwrap();
    assert_eq!((ids[0], ids[499]), (Some(log[0].id), Some(log[1].id)));
    assert!(ids[1..499].iter().all(Option::is_none));
    // Those of a page, and those that the server had ready.
    let sent = server.events_sent() - before;
    assert!(sent < 75, "{sent} events");
}

/// The prefix of one log may be the beginning of another's, or empty.
#[tokio::test]
async fn prefixes_keep_logs_apart() {
    let server = StandIn::start();
    let mut logs = Vec::new();
    for (index, prefix) in ["", "one.", "one.two.", "other."].into_iter().enumerate() {
        let store = with_prefix(&server, prefix).await;
        let appended = store.append(&stream("task-1"), 0, events(index + 1)).await.unwrap();
        logs.push((store, index + 1, appended));
    }
    for (store, count, appended) in logs {
        assert_eq!(store.head().await.unwrap(), appended.position);
        let log = whole_log(&*store).await;
        assert_eq!(log.len(), count);
        assert!(log.iter().all(|event| event.stream == stream("task-1")));
        assert_eq!(take(&mut store.subscribe(0), count).await, log);
    }
}
