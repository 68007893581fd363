//! The laws of sealing: what is read back is unchanged, and everything personal is hidden in the log.

use std::sync::Arc;

use event_store::EventStore;
use events::{Event, EventId, NewEvent, PERSONAL_MEMBERS, StreamName, Timestamp, UserId};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use sealing::SealedStore;
use serde_json::Value;
use test_support::{metadata_about, read_all, subject_keys};
use uuid::Uuid;

use crate::arbitrary;

/// The number of events. Each takes a round trip to the database.
const EVENTS: usize = 400;

#[tokio::test]
async fn sealing_and_opening_any_event_gives_the_same_event() {
    let directory = tempfile::tempdir().unwrap();
    let url = database::Database::file_url(&directory.path().join("events.db"));
    let log = event_store::open(&url, 2).await.unwrap();
    let store = SealedStore::over(Arc::clone(&log), subject_keys(directory.path()).await);
    let subject = UserId(Uuid::now_v7());
    let mut runner = TestRunner::deterministic();
    let events: Vec<Event> =
        (0..EVENTS).map(|_| arbitrary::event().new_tree(&mut runner).unwrap().current()).collect();
    let new = events.iter().map(|event| new_event(event, subject)).collect();
    store.append(&StreamName::raw("any"), 0, new).await.unwrap();

    let read = read_all(&*store, 0, EVENTS).await;
    let stored = read_all(&*log, 0, EVENTS).await;
    assert_eq!(read.len(), EVENTS);
    for ((event, read), stored) in events.iter().zip(&read).zip(&stored) {
        assert_eq!(&Event::try_from(read).unwrap(), event);
        let lies_there: Value = serde_json::from_slice(&stored.data).unwrap();
        for (name, _) in PERSONAL_MEMBERS {
            assert!(lies_there.get(name).is_none(), "{name} of {}", stored.kind);
        }
        // A payload without personal data is stored byte for byte.
        if lies_there.get("sealed").is_none() {
            assert_eq!(stored.data, event.encode().data);
        }
    }
}

fn new_event(event: &Event, subject: UserId) -> NewEvent {
    event.encode().into_event(
        EventId(Uuid::now_v7()),
        metadata_about(subject),
        Timestamp::from_micros(1_780_000_000_123_456),
    )
}
