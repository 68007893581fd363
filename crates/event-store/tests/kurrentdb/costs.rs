//! The number of calls that it takes to read a long log from anywhere.

use events::RecordedEvent;
use kurrentdb_stand_in::StandIn;

use super::{
    conformance::{events, stream, whole_log},
    open,
};

/// The length of the log. With calls that read one event each, whatever reads it from the start is noticed.
const EVENTS: usize = 3_000;
const APPENDED_AT_ONCE: usize = 500;

/// Fills the log of `server`. When this returns, no search for the end of the log is running any more.
async fn long_log(server: &StandIn) -> Vec<RecordedEvent> {
    let store = open(server).await;
    for version in (0..EVENTS).step_by(APPENDED_AT_ONCE) {
        store.append(&stream("task-1"), version as u64, events(APPENDED_AT_ONCE)).await.unwrap();
    }
    let whole = whole_log(&*store).await;
    assert_eq!(whole.len(), EVENTS);
    store.head().await.unwrap();
    whole
}

/// A record is one read, wherever it is in the log, and so is to find that there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_a_long_log_is_one_read() {
    let server = StandIn::start();
    let whole = long_log(&server).await;
    let store = open(&server).await;
    let (first, last) = (whole[0].position, whole[EVENTS - 1].position);
    for (position, is_there) in [
        (first, true),
        (whole[EVENTS / 2].position, true),
        (last, true),
        (last - 1, false),
        (last + 1, false),
        (i64::MAX as u64, false),
    ] {
        let before = server.log_reads();
        assert_eq!(store.record_at(position).await.unwrap().is_some(), is_there);
        assert_eq!(store.stored_at(position).await.unwrap().is_some(), is_there);
        // One each, and those that are repeated on a slow machine. Both together take more than ten from the start of
        // the log to its last event.
        let reads = server.log_reads() - before;
        assert!((2..=5).contains(&reads), "{reads} reads at {position}");
    }
}

/// A page after a position at which no record begins, as in a log that was cut, is looked for from the start of the
/// log, in few calls. It has no more records than were asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_after_no_record_takes_few_reads() {
    let server = StandIn::start();
    let whole = long_log(&server).await;
    let store = open(&server).await;
    for (index, limit) in [(0, 1), (700, 7), (EVENTS - 300, 1), (EVENTS - 1, 1)] {
        let before = server.log_reads();
        let page = store.log_page(whole[index].position - 1, limit).await.unwrap();
        assert_eq!(page.readable().unwrap(), whole[index..index + limit]);
        let reads = server.log_reads() - before;
        assert!(reads < 40, "{reads} reads to the event {index}");
    }
}
