//! Reading streams and the log, in pages and from anywhere.

use event_store::read_whole_stream;

use super::{TestLog, assert_in_order, assert_same, events, stream, take, whole_log};

pub(crate) async fn reading_nothing(log: &impl TestLog) {
    let store = log.store().await;
    assert!(
        store
            .read_stream(&stream("task-1"), 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.read_all(0, 10).await.unwrap().is_empty());
    let appended = store.append(&stream("task-1"), 0, events(2)).await.unwrap();
    for absurd in [appended.position, u64::MAX / 4, i64::MAX as u64, u64::MAX] {
        assert!(store.read_all(absurd, 10).await.unwrap().is_empty());
    }
    assert!(
        store
            .read_stream(&stream("task-1"), 2, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .read_stream(&stream("task-1"), u64::MAX, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .read_stream(&stream("task"), 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.read_all(0, 0).await.unwrap().is_empty());
    assert!(
        store
            .read_stream(&stream("task-1"), 0, 0)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.read_all(0, usize::MAX).await.unwrap().len(), 2);
    assert_eq!(
        store
            .read_stream(&stream("task-1"), 0, usize::MAX)
            .await
            .unwrap()
            .len(),
        2
    );
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
        let page = store.read_all(event.position, 7).await.unwrap();
        assert_eq!(page, whole[index + 1..(index + 8).min(60)]);
    }
    let of_stream: Vec<_> = whole
        .iter()
        .filter(|event| event.stream == stream("task-2"))
        .cloned()
        .collect();
    for after in 0..=30 {
        let page = store
            .read_stream(&stream("task-2"), after as u64, 7)
            .await
            .unwrap();
        assert_eq!(page, of_stream[after..(after + 7).min(30)]);
    }
}

pub(crate) async fn long_stream(log: &impl TestLog) {
    let store = log.store().await;
    let new = events(10_000);
    let mut version = 0;
    for chunk in new.chunks(2_500) {
        version = store
            .append(&stream("task-1"), version, chunk.to_vec())
            .await
            .unwrap()
            .version;
    }
    assert_eq!(version, 10_000);

    let read = read_whole_stream(&*store, &stream("task-1")).await.unwrap();
    assert_eq!(read.len(), new.len());
    read.iter()
        .zip(&new)
        .for_each(|(recorded, new)| assert_same(recorded, new));
    assert_in_order(&read, log.dense());
    assert_eq!(take(&mut store.subscribe(0), 10_000).await, read);
    assert_eq!(
        store.read_stream(&stream("task-1"), 9_990, 1_000).await.unwrap(),
        read[9_990..]
    );
    assert_eq!(
        store
            .append(&stream("task-1"), 10_000, events(1))
            .await
            .unwrap()
            .version,
        10_001
    );
}
