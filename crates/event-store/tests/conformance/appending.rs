//! One append after another: versions, conflicts, and that events are returned unchanged.

use std::{sync::Arc, task::Poll};

use event_store::{Appended, StoreError};
use events::{Actor, NewEvent, Timestamp, UserId};
use futures::future::join_all;
use uuid::Uuid;

use super::{
    TestLog, assert_exactly, assert_in_order, assert_same, conflict, event, events, stream, whole_log,
    whole_stream,
};

pub(crate) async fn first_append(log: &impl TestLog) {
    let store = log.store().await;
    assert_eq!(store.head().await.unwrap(), 0);

    let new = events(3);
    let appended = store.append(&stream("task-1"), 0, new.clone()).await.unwrap();

    assert_eq!(appended.version, 3);
    assert_eq!(store.head().await.unwrap(), appended.position);
    let read = whole_stream(&*store, "task-1").await;
    assert_eq!(read, whole_log(&*store).await);
    assert_in_order(&read, log.dense());
    assert_eq!(read.last().unwrap().position, appended.position);
    assert_eq!(read.len(), new.len());
    read.iter().zip(&new).for_each(|(recorded, new)| assert_same(recorded, new));
    assert!(read.iter().all(|event| event.stream == stream("task-1")));

    let next = store.append(&stream("task-1"), 3, events(1)).await.unwrap();
    assert_eq!(next.version, 4);
    assert!(next.position > appended.position);
}

pub(crate) async fn empty_append(log: &impl TestLog) {
    let store = log.store().await;
    for expected in [0, 1] {
        let result = store.append(&stream("task-1"), expected, Vec::new()).await;
        assert!(matches!(result, Err(StoreError::Empty)), "{result:?}");
    }
    assert_eq!(store.head().await.unwrap(), 0);
}

pub(crate) async fn conflict_changes_nothing(log: &impl TestLog) {
    let store = log.store().await;
    let new = events(3);
    store.append(&stream("task-1"), 0, new.clone()).await.unwrap();

    for expected in [0, 1, 2, 4, 100] {
        let result = store.append(&stream("task-1"), expected, events(2)).await;
        match result {
            Err(StoreError::Conflict { stream, expected: named, actual }) => {
                assert_eq!((stream.as_str(), named, actual), ("task-1", expected, 3));
            }
            other => panic!("expected a conflict, got {other:?}"),
        }
    }
    assert_eq!(conflict(store.append(&stream("task-2"), 1, events(2)).await), 0);

    assert_exactly(&whole_log(&*store).await, new.iter().map(|event| event.id));
    let next = store.append(&stream("task-1"), 3, events(1)).await.unwrap();
    assert_eq!(next.version, 4);
    assert_in_order(&whole_log(&*store).await, log.dense());
}

pub(crate) async fn append_that_is_too_large(log: &impl TestLog) {
    let store = log.store().await;
    // Each of them alone fits.
    let much: Vec<NewEvent> = (0..9).map(|_| event(vec![b' '; 500_000])).collect();
    let result = store.append(&stream("task-1"), 0, much).await;
    assert!(matches!(result, Err(StoreError::TooLarge { .. })), "{result:?}");
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    assert_eq!(whole_log(&*store).await.len(), 1);
}

pub(crate) async fn expected_versions_out_of_range(log: &impl TestLog) {
    let store = log.store().await;
    let absurd = [u64::MAX, u64::MAX - 1, i64::MAX as u64, i64::MAX as u64 + 1];
    let refused = async |expected| conflict(store.append(&stream("task-1"), expected, events(1)).await);
    for expected in absurd {
        assert_eq!(refused(expected).await, 0);
    }
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    for expected in absurd {
        assert_eq!(refused(expected).await, 1);
    }
}

pub(crate) async fn payload_bytes_are_kept(log: &impl TestLog) {
    let store = log.store().await;
    let payloads: Vec<Vec<u8>> = vec![
        Vec::new(),
        (0..=255).collect(),
        b"\0\0\0".to_vec(),
        vec![0xff, 0xfe, 0x80],
        b"{ \"b\" : 1.0,\n \"a\": 1e2, \"a\": \"\\u0000\" }".to_vec(),
        "\u{feff}{\"title\":\"\u{1f980}\"}".into(),
        (0..1_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
    ];
    let new: Vec<NewEvent> = payloads.into_iter().map(event).collect();
    store.append(&stream("task-1"), 0, new.clone()).await.unwrap();

    let read = whole_stream(&*store, "task-1").await;
    assert_eq!(read.len(), new.len());
    read.iter().zip(&new).for_each(|(recorded, new)| assert_same(recorded, new));
}

pub(crate) async fn unicode_is_kept(log: &impl TestLog) {
    let store = log.store().await;
    // The second and third look the same; the sixth differs from the fifth in case only.
    let names = [
        "aufgabe-ß",
        "task-é",
        "task-e\u{301}",
        "задача-№1",
        "タスク-一",
        "Task-İ",
        "task-i̇",
        "👩‍👩‍👧-1",
        " ",
        "'; --",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let mut new = event("{}");
        new.kind = format!("task.{name}");
        new.schema_version = u16::MAX;
        new.recorded_at = [Timestamp::MIN, Timestamp::MAX, Timestamp::from_micros(-1)][number % 3];
        new.metadata.actor = if number % 2 == 0 { Actor::Operator } else { Actor::User(UserId(Uuid::max())) };
        new.metadata.correlation_id = format!("{name} \"quoted\" \\ \u{202e} \u{7f} \r\n\t").into();
        new.metadata.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
        new.metadata.idempotency_key = Some(name.into());
        let appended = store.append(&stream(name), 0, vec![new.clone()]).await;
        assert_eq!(appended.unwrap().version, 1, "{name}");
        let read = whole_stream(&*store, name).await;
        assert_eq!(read.len(), 1, "{name}");
        assert_eq!(read[0].stream, stream(name));
        assert_same(&read[0], &new);
    }
    assert_in_order(&whole_log(&*store).await, log.dense());
}

/// Text that a backend may not be able to store: it stores the text, or refuses this append only.
pub(crate) async fn poison_fails_alone(log: &impl TestLog) {
    let store = log.store().await;
    let mut nul_in_metadata = event("{}");
    nul_in_metadata.metadata.correlation_id = "a\0b".into();
    nul_in_metadata.metadata.idempotency_key = Some("\0".into());
    let mut nul_in_kind = event("{}");
    nul_in_kind.kind = "task\0renamed".to_owned();
    // Too long for an index of PostgreSQL, which compresses what it can.
    let long_name: String =
        (0..2_000_u64).map(|n| format!("{:08x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32)).collect();
    let poison = vec![
        (stream("poison-1"), nul_in_metadata),
        (stream("poison-2"), nul_in_kind),
        (stream("poison\0-3"), event("{}")),
        (stream(&long_name), event("{}")),
    ];
    let mut appends = Vec::new();
    for (number, poison) in poison.into_iter().enumerate() {
        appends.push((stream(&format!("task-{number}")), event("{}")));
        appends.push(poison);
    }
    appends.push((stream("task-last"), event("{}")));

    let results =
        join_all(appends.iter().map(|(stream, event)| store.append(stream, 0, vec![event.clone()]))).await;

    let mut kept = Vec::new();
    for ((stream, event), result) in appends.iter().zip(results) {
        match result {
            Ok(Appended { version, .. }) => {
                assert_eq!(version, 1);
                let read = whole_stream(&*store, stream.as_str()).await;
                assert_eq!(read.len(), 1);
                assert_same(&read[0], event);
                kept.push(event.id);
            }
            Err(error) => {
                assert!(!stream.as_str().starts_with("task-"), "{stream} failed with its neighbour: {error}");
                assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            }
        }
    }
    let log_now = whole_log(&*store).await;
    assert_exactly(&log_now, kept);
    assert_in_order(&log_now, log.dense());
}

pub(crate) async fn caller_that_gives_up(log: &impl TestLog) {
    let store = log.store().await;
    let mut given_up = Vec::new();
    for number in 0..50 {
        let name = stream(&format!("task-{number}"));
        let new = event("{}");
        given_up.push(new.id);
        let mut append = store.append(&name, 0, vec![new]);
        // Polled once or twice, so that it has begun, then dropped.
        for _ in 0..number % 3 {
            futures::future::poll_fn(|context| {
                let _ = append.as_mut().poll(context);
                Poll::Ready(())
            })
            .await;
        }
    }
    let last = event("{}");
    store.append(&stream("task-last"), 0, vec![last.clone()]).await.unwrap();

    let read = whole_log(&*store).await;
    assert_in_order(&read, log.dense());
    assert_exactly(
        &read,
        given_up.into_iter().filter(|id| read.iter().any(|event| event.id == *id)).chain([last.id]),
    );
}

pub(crate) async fn accepted_appends_outlive_the_handle(log: &impl TestLog) {
    let store = log.store().await;
    let appends: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&store);
            let new = event("{}");
            let id = new.id;
            tokio::spawn(async move {
                store.append(&stream(&format!("task-{number}")), 0, vec![new]).await.map(|_| id)
            })
        })
        .collect();
    drop(store);
    let mut acknowledged = Vec::new();
    for append in appends {
        acknowledged.push(append.await.unwrap().unwrap());
    }
    assert_exactly(&whole_log(&*log.store().await).await, acknowledged);
}

/// In one batch, each append sees those before it.
pub(crate) async fn appends_to_one_stream_at_once(log: &impl TestLog) {
    let store = log.store().await;
    let expected_and_count = [(0, 2), (0, 1), (2, 1), (1, 1), (3, 3), (9, 1), (6, 1)];
    let (one, other) = (stream("task-1"), stream("task-2"));
    let results = join_all(expected_and_count.into_iter().map(|(expected, count)| {
        let new = events(count);
        let (store, one, other) = (&store, &one, &other);
        async move { (store.append(one, expected, new).await, store.append(other, 0, events(1)).await) }
    }))
    .await;

    let good: Vec<bool> = results.iter().map(|(result, _)| result.is_ok()).collect();
    if log.keeps_order() {
        assert_eq!(good, [true, false, true, false, true, false, true]);
    }
    assert_eq!(results.iter().filter(|(_, result)| result.is_ok()).count(), 1);
    let appended: usize =
        good.iter().zip(expected_and_count).map(|(good, (_, count))| if *good { count } else { 0 }).sum();
    assert_eq!(whole_stream(&*store, "task-1").await.len(), appended);
    assert_in_order(&whole_log(&*store).await, log.dense());
}
