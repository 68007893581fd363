//! The conformance suite of event stores. A backend takes part by implementing [`TestLog`] and calling
//! `conformance!`; the suite does not know which backend it tests.

mod appending;
mod concurrency;
mod dropping;
mod importing;
mod model;
mod reading;
mod subscribing;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use event_store::{EventStore, Page, StoreError};
use events::{EventId, NewEvent, RecordedEvent, StreamName, UserId};
use futures::{StreamExt, stream::BoxStream};
use test_support::{new_event, read_all};
use uuid::Uuid;

pub(crate) use appending::*;
pub(crate) use concurrency::*;
pub(crate) use dropping::*;
pub(crate) use importing::*;
pub(crate) use model::*;
pub(crate) use reading::*;
pub(crate) use subscribing::*;

/// The time limit of a test's wait.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// An empty log for one test.
#[async_trait]
pub(crate) trait TestLog: Send + Sync {
    /// Another instance of the store on the same log, as another process would have.
    async fn store(&self) -> Arc<dyn EventStore>;

    /// Whether positions are 1, 2, 3 …, and not just increasing.
    fn dense(&self) -> bool;

    /// Whether concurrent appends of one instance are committed in the order given.
    fn keeps_order(&self) -> bool {
        self.dense()
    }

    /// Whether events are stored as given, not encrypted.
    fn keeps_bytes(&self) -> bool {
        true
    }
}

/// Defines the suite's tests, each on a log of its own from `$fresh().await`.
macro_rules! conformance {
    ($fresh:path) => {
        conformance!($fresh,
            first_append empty_append append_that_is_too_large conflict_changes_nothing expected_versions_out_of_range
            payload_bytes_are_kept unicode_is_kept poison_fails_alone caller_that_gives_up
            accepted_appends_outlive_the_handle appends_to_one_stream_at_once
            many_writers_on_one_stream writers_and_a_subscriber writers_and_a_poller two_instances
            reading_nothing reading_in_pages long_stream stream_heads pages_are_bounded_in_bytes
            events_are_identified records_are_found_by_their_positions events_between_positions_are_counted stored_bytes_are_the_same_in_every_store
            subscription_resumes subscription_from_the_head subscription_outlives_the_store
            subscription_wakes_at_once
            imported_events_are_kept_as_they_are imports_out_of_place_change_nothing
            dropped_payloads_leave_everything_else imports_keep_what_was_dropped
            an_import_that_has_begun_is_known_until_it_has_ended
            sequences_match_the_model batches_match_the_model
        );
    };
    ($fresh:path, $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let log = $fresh().await;
                tokio::time::timeout(conformance::DEADLINE, conformance::$name(&log)).await.expect("in time");
            }
        )+
    };
}
pub(crate) use conformance;

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::raw(name)
}

/// An event about somebody of its own.
pub(crate) fn event(data: impl Into<Bytes>) -> NewEvent {
    new_event(UserId(Uuid::now_v7()), data)
}

pub(crate) fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|number| event(format!("{{\"title\":\"{number}\"}}"))).collect()
}

/// The version that a conflict reports; fails for any other result.
pub(crate) fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> u64 {
    match result {
        Err(StoreError::Conflict { actual, .. }) => actual,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// The whole log, read from the start.
pub(crate) async fn whole_log(store: &dyn EventStore) -> Vec<RecordedEvent> {
    read_all(store, 0, usize::MAX).await
}

/// Up to `limit` events of the stream `name` with a version above `after`.
pub(crate) async fn read_stream(
    store: &dyn EventStore,
    name: &str,
    after: u64,
    limit: usize,
) -> Vec<RecordedEvent> {
    let read = store.read_stream(&stream(name), after, limit).await;
    read.expect("readable")
}

pub(crate) async fn whole_stream(store: &dyn EventStore, name: &str) -> Vec<RecordedEvent> {
    read_stream(store, name, 0, usize::MAX).await
}

/// The next `count` events of a subscription.
pub(crate) async fn take(subscription: &mut BoxStream<'static, Page>, count: usize) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while events.len() < count {
        let next = tokio::time::timeout_at(deadline, subscription.next()).await;
        let page = next.expect("in time").expect("a subscription does not end");
        events.extend(page.readable().expect("readable"));
    }
    events
}

/// Positions increase (by one, if dense) from `after`, and versions of each stream by one from 1.
pub(crate) fn assert_in_order(log: &[RecordedEvent], dense: bool) {
    let mut position = 0;
    let mut versions: HashMap<&StreamName, u64> = HashMap::new();
    for event in log {
        if dense {
            assert_eq!(event.position, position + 1, "a gap or a step back in the log");
        } else {
            assert!(event.position > position, "a step back in the log");
        }
        position = event.position;
        let version = versions.entry(&event.stream).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "a gap or a step back in {}", event.stream);
    }
}

/// Each event of `expected` is in the log exactly once, and nothing else is.
pub(crate) fn assert_exactly(log: &[RecordedEvent], expected: impl IntoIterator<Item = EventId>) {
    let mut found: Vec<EventId> = log.iter().map(|event| event.id).collect();
    let mut expected: Vec<EventId> = expected.into_iter().collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// Everything about the event is as it was appended.
pub(crate) fn assert_same(recorded: &RecordedEvent, new: &NewEvent) {
    let as_new = NewEvent {
        id: recorded.id,
        kind: recorded.kind.clone(),
        schema_version: recorded.schema_version,
        encoding: recorded.encoding,
        data: recorded.data.clone(),
        metadata: recorded.metadata.clone(),
        recorded_at: recorded.recorded_at,
    };
    assert_eq!(&as_new, new);
}
