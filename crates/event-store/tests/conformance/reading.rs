//! Reading streams and the log, in pages and from any position.

use std::{ops::ControlFlow, time::Duration};

use event_store::{EventStore, PAGE_BYTES, StoreError, StreamHead, agrees, for_each_entry, head_point};
use events::{LogPoint, RecordedEvent};
use futures::StreamExt;
use test_support::read_all;

use super::{
    TestLog, assert_in_order, assert_same, event, events, read_stream, stream, take, whole_log, whole_stream,
};

pub(crate) async fn reading_nothing(log: &impl TestLog) {
    let store = log.store().await;
    assert!(read_stream(&*store, "task-1", 0, 10).await.is_empty());
    assert!(read_all(&*store, 0, 10).await.is_empty());
    let appended = store.append(&stream("task-1"), 0, events(2)).await.unwrap();
    for absurd in [appended.position, u64::MAX / 4, i64::MAX as u64, u64::MAX] {
        assert!(read_all(&*store, absurd, 10).await.is_empty());
    }
    for (name, after, limit) in
        [("task-1", 2, 10), ("task-1", u64::MAX, 10), ("task", 0, 10), ("task-1", 0, 0)]
    {
        let read = read_stream(&*store, name, after, limit).await;
        assert!(read.is_empty(), "{limit} of {name} after {after}");
    }
    assert!(read_all(&*store, 0, 0).await.is_empty());
    assert_eq!(read_all(&*store, 0, usize::MAX).await.len(), 2);
    assert_eq!(read_stream(&*store, "task-1", 0, usize::MAX).await.len(), 2);
}

pub(crate) async fn reading_in_pages(log: &impl TestLog) {
    let store = log.store().await;
    for version in 0..30 {
        for name in ["task-1", "task-2"] {
            store.append(&stream(name), version, events(1)).await.unwrap();
        }
    }
    let whole = whole_log(&*store).await;
    assert_eq!(whole.len(), 60);
    assert_in_order(&whole, log.dense());
    for (index, event) in whole.iter().enumerate() {
        let page = read_all(&*store, event.position, 7).await;
        assert_eq!(page, whole[index + 1..(index + 8).min(60)]);
    }
    let of_stream: Vec<_> = whole.iter().filter(|event| event.stream == stream("task-2")).cloned().collect();
    for after in 0..=30 {
        let page = read_stream(&*store, "task-2", after as u64, 7).await;
        assert_eq!(page, of_stream[after..(after + 7).min(30)]);
    }
}

fn head_of(event: &RecordedEvent) -> StreamHead {
    StreamHead { version: event.version, position: event.position, id: event.id }
}

pub(crate) async fn stream_heads(log: &impl TestLog) {
    let (store, other) = (log.store().await, log.store().await);
    assert_eq!(store.stream_head(&stream("task-1")).await.unwrap(), None);
    let mut version = 0;
    for count in [1, 3, 1] {
        for name in ["task-1", "task-2", "task"] {
            store.append(&stream(name), version, events(count)).await.unwrap();
        }
        version += count as u64;
        for name in ["task-1", "task-2", "task"] {
            let last = whole_stream(&*store, name).await.pop();
            for store in [&store, &other] {
                let head = store.stream_head(&stream(name)).await.unwrap();
                assert_eq!(head, last.as_ref().map(head_of), "{name}");
            }
        }
    }
    assert_eq!(store.stream_head(&stream("task-3")).await.unwrap(), None);
}

/// The versions of the events of `task-1` above `after`, at most `most`.
async fn versions(store: &dyn EventStore, after: u64, most: usize) -> Vec<u64> {
    let mut versions = Vec::new();
    for_each_entry::<StoreError>(store, &stream("task-1"), after, |entry| {
        versions.push(entry?.version);
        Ok(if versions.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })
    .await
    .unwrap();
    versions
}

pub(crate) async fn long_stream(log: &impl TestLog) {
    let store = log.store().await;
    let new = events(10_000);
    let mut version = 0;
    for chunk in new.chunks(2_500) {
        version = store.append(&stream("task-1"), version, chunk.to_vec()).await.unwrap().version;
    }
    assert_eq!(version, 10_000);

    let read = whole_stream(&*store, "task-1").await;
    assert_eq!(read.len(), new.len());
    read.iter().zip(&new).for_each(|(recorded, new)| assert_same(recorded, new));
    assert_in_order(&read, log.dense());
    assert_eq!(take(&mut store.subscribe(0), 10_000).await, read);
    assert_eq!(versions(&*store, 9_000, usize::MAX).await, Vec::from_iter(9_001..=10_000));
    assert_eq!(versions(&*store, 100, 300).await, Vec::from_iter(101..=400));
    assert_eq!(versions(&*store, 10_000, 1).await, [0; 0]);
    let end = read_stream(&*store, "task-1", 9_990, 1_000).await;
    assert_eq!(end, read[9_990..]);
    let next = store.append(&stream("task-1"), 10_000, events(1)).await;
    assert_eq!(next.unwrap().version, 10_001);
}

/// A page ends at its limit of bytes, and reports that there is more.
pub(crate) async fn pages_are_bounded_in_bytes(log: &impl TestLog) {
    const SIZE: usize = 300_000;
    let store = log.store().await;
    let large: Vec<_> = (0..40).map(|_| event(vec![b'x'; SIZE])).collect();
    for (version, event) in large.into_iter().enumerate() {
        store.append(&stream("task-1"), version as u64, vec![event]).await.unwrap();
    }
    let (mut after, mut version, mut pages) = (0, 0, 0);
    loop {
        let of_log = store.log_page(after, 1_000).await.unwrap();
        let of_stream = store.stream_page(&stream("task-1"), version, 1_000).await.unwrap();
        for page in [&of_log, &of_stream] {
            assert!(page.entries.len() * SIZE < 2 * PAGE_BYTES, "{}", page.entries.len());
        }
        let (Some(position), Some(last)) = (of_log.position(), of_stream.version()) else {
            break;
        };
        (after, version, pages) = (position, last, pages + 1);
    }
    assert_eq!(version, 40);
    assert!(pages > 2, "{pages}");
    assert_eq!(read_all(&*store, 0, 1_000).await.len(), 40);
    assert_eq!(read_stream(&*store, "task-1", 0, 39).await.len(), 39);

    let (mut subscription, mut followed) = (store.subscribe(0), 0);
    while followed < 40 {
        let page = subscription.next().await.unwrap();
        assert!(page.entries.len() * SIZE < 2 * PAGE_BYTES, "{}", page.entries.len());
        followed += page.entries.len();
        // Meanwhile more arrives than a page may have.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(followed, 40);
}

/// A stored position can be checked: whether the same event is still there.
pub(crate) async fn events_are_identified(log: &impl TestLog) {
    let store = log.store().await;
    assert_eq!(store.identify(&[]).await.unwrap(), []);
    assert_eq!(store.identify(&[0, 1, u64::MAX]).await.unwrap(), [None, None, None]);
    assert_eq!(head_point(&*store).await.unwrap(), LogPoint::START);
    for version in (0..60).step_by(3) {
        for name in ["task-1", "task-2"] {
            store.append(&stream(name), version, events(3)).await.unwrap();
        }
    }
    let whole = whole_log(&*store).await;
    let last = whole.last().unwrap();
    assert_eq!(head_point(&*store).await.unwrap(), LogPoint::from(last));

    // In any order, more than once, near together and far apart.
    let wanted = [7, 3, 119, 4, 5, 7, 60];
    let positions: Vec<u64> = wanted.iter().map(|index| whole[*index].position).collect();
    let ids: Vec<_> = wanted.iter().map(|index| Some(whole[*index].id)).collect();
    assert_eq!(store.identify(&positions).await.unwrap(), ids);
    let all: Vec<u64> = whole.iter().map(|event| event.position).collect();
    let ids: Vec<_> = whole.iter().map(|event| Some(event.id)).collect();
    assert_eq!(store.identify(&all).await.unwrap(), ids);
    let beyond = [last.position, last.position + 1, i64::MAX as u64, u64::MAX, 0];
    assert_eq!(store.identify(&beyond).await.unwrap(), [Some(last.id), None, None, None, None]);

    let points: Vec<LogPoint> = [&whole[3], &whole[9]].map(LogPoint::from).into();
    assert_eq!(agrees(&*store, &points).await.unwrap(), [true, true]);
    let swapped = LogPoint { id: points[1].id, ..points[0] };
    let ahead = LogPoint { position: last.position + 1, ..points[1] };
    assert_eq!(agrees(&*store, &[swapped, LogPoint::START, ahead]).await.unwrap(), [false, true, false]);
}

/// A record is found at its position and nowhere else.
pub(crate) async fn records_are_found_by_their_positions(log: &impl TestLog) {
    let store = log.store().await;
    let is_absent = async |position: u64| {
        let record = store.record_at(position).await.unwrap();
        let stored = store.stored_at(position).await.unwrap();
        record.is_none() && stored.is_none()
    };
    for position in [0, 1, i64::MAX as u64, u64::MAX] {
        assert!(is_absent(position).await, "{position}");
    }
    for version in 0..5 {
        for name in ["task-1", "task-2"] {
            store.append(&stream(name), version, events(1)).await.unwrap();
        }
    }
    let whole = whole_log(&*store).await;
    let stored = store.stored_page(0, 100).await.unwrap().events;
    assert_eq!((whole.len(), stored.len()), (10, 10));
    for (event, stored) in whole.iter().zip(stored) {
        let position = event.position;
        assert_eq!(store.record_at(position).await.unwrap(), Some(Ok(event.clone())));
        assert_eq!(store.stored_at(position).await.unwrap(), Some(stored));
        if !log.dense() {
            assert!(is_absent(position - 1).await && is_absent(position + 1).await);
        }
    }
    let last = whole.last().unwrap().position;
    for position in [0, last + 1, i64::MAX as u64, u64::MAX] {
        assert!(is_absent(position).await, "{position}");
    }
}

/// The number of events between two positions is exact where positions are dense, and of the right order elsewhere.
pub(crate) async fn events_between_positions_are_counted(log: &impl TestLog) {
    let store = log.store().await;
    store.append(&stream("task-1"), 0, events(200)).await.unwrap();
    let whole = whole_log(&*store).await;
    let (first, last) = (whole[0].position, whole[199].position);
    let between = store.events_between(first, last);
    if log.dense() {
        assert_eq!(between, 199);
    } else {
        assert!((50..2_000).contains(&between), "{between}");
    }
    assert!(store.events_between(0, first) > 0);
    assert_eq!(store.events_between(last, last), 0);
    assert_eq!(store.events_between(last, first), 0);
}

/// The bytes that the audit tree hashes do not depend on the store, except for positions.
pub(crate) async fn stored_bytes_are_the_same_in_every_store(log: &impl TestLog) {
    let store = log.store().await;
    let sent = events(5);
    store.append(&stream("task-1"), 0, sent[..3].to_vec()).await.unwrap();
    store.append(&stream("task-2"), 0, sent[3..].to_vec()).await.unwrap();
    let (mut after, mut stored) = (i64::MIN, Vec::new());
    loop {
        let page = store.stored_page(after, 2).await.unwrap();
        assert!(page.events.len() <= 2);
        stored.extend(page.events);
        if !page.more {
            break;
        }
        after = stored.last().unwrap().position;
    }
    assert_eq!(stored.len(), sent.len());
    let read = whole_log(&*store).await;
    for ((stored, sent), read) in stored.iter().zip(&sent).zip(&read) {
        assert_eq!(stored.position.unsigned_abs(), read.position);
        assert_eq!((&*stored.stream, stored.version), (read.stream.as_str(), read.version as i64));
        assert_eq!(stored.id, sent.id.0.hyphenated().to_string());
        assert_eq!((&*stored.kind, stored.schema_version), (&*sent.kind, i64::from(sent.schema_version)));
        assert_eq!(stored.recorded_at, sent.recorded_at.as_micros());
        let stored = (&*stored.encoding, stored.data.clone(), stored.metadata.to_vec());
        let metadata = serde_json::to_vec(&sent.metadata).unwrap();
        assert_eq!(stored == ("json", sent.data.clone().into(), metadata), log.keeps_bytes(), "{stored:?}");
    }
}
