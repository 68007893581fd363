//! Unreadable records among readable ones, in a log whose rows can be damaged.

use event_store::{EventStore, StoreError};
use futures::StreamExt;

use crate::conformance::{events, stream, take};

/// SQL that makes the record at position 2 unreadable, as both databases take it.
pub(crate) const DAMAGES: [&str; 5] = [
    "UPDATE events SET encoding = 'cbor' WHERE position = 2",
    "UPDATE events SET metadata = '{' WHERE position = 2",
    "UPDATE events SET metadata = replace(metadata, 'system', 'robot') WHERE position = 2",
    "UPDATE events SET metadata = replace(metadata, 'causation', 'sensation') WHERE position = 2",
    "UPDATE events SET schema_version = 70000 WHERE position = 2",
];

/// One unreadable record does not hide the others, and is reported with its position.
pub(crate) async fn one_record_is_unreadable(store: &dyn EventStore, damage: &str) {
    let mut subscription = store.subscribe(2);
    let (log, of_stream) =
        (store.log_page(0, 10).await.unwrap(), store.stream_page(&stream("task-1"), 0, 10).await.unwrap());
    assert_eq!((log.entries.len(), of_stream.entries.len()), (4, 3), "{damage}");
    assert_eq!(log.position(), Some(4));
    let Err(unreadable) = &log.entries[1] else {
        panic!("{damage}: {:?}", log.entries[1]);
    };
    assert_eq!(unreadable.position, 2, "{damage}");
    if damage.contains("SET id") {
        assert_eq!(unreadable.id, None, "{damage}");
    } else {
        assert!(unreadable.id.is_some(), "{damage}");
        assert_eq!(store.identify(&[2]).await.unwrap(), [unreadable.id], "{damage}");
    }
    assert!(log.entries[0].is_ok() && log.entries[2].is_ok() && log.entries[3].is_ok());
    let strict = log.readable();
    assert!(
        matches!(&strict, Err(StoreError::Corrupt(what)) if what.contains("position 2")),
        "{damage}: {strict:?}"
    );
    assert_eq!(store.read_stream(&stream("task-2"), 0, 10).await.unwrap().len(), 1);
    assert_eq!(take(&mut subscription, 2).await.len(), 2);
    drop(subscription);
    let page = store.subscribe(0).next().await.unwrap();
    assert_eq!((page.entries.len(), page.position()), (4, Some(4)), "{damage}");
}

/// Three events of one stream with one of another between.
pub(crate) async fn four_records(store: &dyn EventStore) {
    store.append(&stream("task-1"), 0, events(2)).await.unwrap();
    store.append(&stream("task-2"), 0, events(1)).await.unwrap();
    store.append(&stream("task-1"), 2, events(1)).await.unwrap();
}
