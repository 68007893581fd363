//! Imported events are kept as they are, and only in order.

use bytes::Bytes;
use event_store::{EventStore, ImportError, UnfinishedImport, head_point};
use events::{LogPoint, StoredEvent};
use uuid::Uuid;

use super::{TestLog, event, stream};

/// An event of another log, with spaces in its metadata that no append writes.
pub(crate) fn foreign(stream: &str, version: i64) -> StoredEvent {
    let subject = Uuid::now_v7();
    StoredEvent {
        position: 1_000,
        stream: stream.to_owned(),
        version,
        id: Uuid::now_v7().to_string(),
        kind: "task.deleted".to_owned(),
        schema_version: 3,
        encoding: "json".to_owned(),
        recorded_at: 1_600_000_000_000_000 - (version & 255),
        metadata: Bytes::from(format!(
            r#"{{ "subject":"{subject}", "actor":"system","correlation_id":"","causation_id":"{subject}" }}"#
        )),
        data: Bytes::from(format!("{{ \"number\": {version} }}")).into(),
    }
}

/// The log as it is stored, without positions, which may be others.
pub(crate) async fn stored(store: &dyn EventStore) -> Vec<StoredEvent> {
    let (mut events, mut after): (Vec<StoredEvent>, i64) = (Vec::new(), 0);
    loop {
        let page = store.stored_page(after, 1_000).await.expect("readable");
        after = page.events.last().map_or(after, |last| last.position);
        events.extend(page.events);
        if !page.more {
            return events;
        }
    }
}

fn without_positions(events: &[StoredEvent]) -> Vec<StoredEvent> {
    let without = |event: &StoredEvent| StoredEvent { position: 0, ..event.clone() };
    events.iter().map(without).collect()
}

/// Runs of several streams, longer than one statement, after appended events.
pub(crate) async fn imported_events_are_kept_as_they_are(log: &dyn TestLog) {
    let store = log.store().await;
    assert_eq!(store.import(LogPoint::START, &[]).await.unwrap(), LogPoint::START);
    let mut events: Vec<StoredEvent> = Vec::new();
    for version in 1..=150 {
        events.push(foreign("task-a", version));
        if version % 3 == 0 {
            events.push(foreign("task-b", version / 3));
            events.push(foreign(&format!("account-{version}"), 1));
        }
    }
    let (first, second) = events.split_at(101);
    let end = store.import(LogPoint::START, first).await.unwrap();
    assert_eq!(head_point(&*store).await.unwrap(), end);
    let other = log.store().await;
    let end = other.import(end, second).await.unwrap();
    assert_eq!(head_point(&*store).await.unwrap(), end);
    let kept = stored(&*store).await;
    assert_eq!(without_positions(&kept), without_positions(&events));
    if log.dense() {
        assert!(kept.iter().zip(1..).all(|(event, position)| event.position == position));
    }
    // The streams continue.
    let appended = store.append(&stream("task-a"), 150, vec![event("{}")]).await.unwrap();
    assert_eq!(appended.version, 151);
    let head = store.stream_head(&stream("task-b")).await.unwrap().unwrap();
    assert_eq!(head.version, 50);
    let end = head_point(&*store).await.unwrap();
    store.import(end, &[foreign("task-a", 152)]).await.unwrap();
    assert_eq!(stored(&*store).await.len(), events.len() + 2);
}

pub(crate) async fn imports_out_of_place_change_nothing(log: &dyn TestLog) {
    let store = log.store().await;
    let start = store.import(LogPoint::START, &[foreign("task-a", 1)]).await.unwrap();
    let refused = async |events: &[StoredEvent]| match store.import(start, events).await {
        Err(ImportError::Refused { id, .. }) => assert_eq!(id, events.last().unwrap().id),
        other => panic!("{other:?}"),
    };
    for version in [1, 3, 0, -1, i64::MAX] {
        refused(&[foreign("task-a", version)]).await;
    }
    refused(&[foreign("task-b", 2)]).await;
    let edits: [fn(&mut StoredEvent); 8] = [
        |event| event.stream.push_str(&"x".repeat(3_000)),
        |event| event.id.make_ascii_uppercase(),
        |event| event.id.clear(),
        |event| event.schema_version = 1 << 20,
        |event| event.kind.push('\0'),
        |event| event.stream.clear(),
        |event| event.metadata = Bytes::from_static(b"{"),
        |event| event.metadata = Bytes::from_static(b"\xff"),
    ];
    for edit in edits {
        let mut event = foreign("task-c", 1);
        edit(&mut event);
        store.check_import(&event).unwrap_err();
        refused(&[event]).await;
    }
    let moved_on = async |after: LogPoint| {
        let outcome = store.import(after, &[foreign("task-d", 1)]).await;
        assert!(matches!(outcome, Err(ImportError::MovedOn)), "{outcome:?}");
    };
    moved_on(LogPoint::START).await;
    let other = events::EventId(Uuid::now_v7());
    moved_on(LogPoint { id: Some(other), ..start }).await;
    store.append(&stream("task-e"), 0, vec![event("{}")]).await.unwrap();
    moved_on(start).await;
    let names: Vec<String> = stored(&*store).await.into_iter().map(|event| event.stream).collect();
    assert_eq!(names, ["task-a", "task-e"]);
}

/// Also visible to another process, and not part of the log.
pub(crate) async fn an_import_that_has_begun_is_known_until_it_has_ended(log: &dyn TestLog) {
    let store = log.store().await;
    assert_eq!(store.unfinished_import().await.unwrap(), None);
    let begun = |events| UnfinishedImport { events, root: "AA==".to_owned() };
    let mut end = LogPoint::START;
    for import in [Some(begun(3)), Some(begun(4)), None, Some(begun(5)), None] {
        store.note_import(import.as_ref()).await.unwrap();
        assert_eq!(store.unfinished_import().await.unwrap(), import);
        let other = log.store().await;
        assert_eq!(other.unfinished_import().await.unwrap(), import);
        assert_eq!(head_point(&*store).await.unwrap(), end);
        let version = i64::try_from(stored(&*store).await.len()).unwrap() + 1;
        end = store.import(end, &[foreign("task-a", version)]).await.unwrap();
    }
    assert_eq!(stored(&*store).await.len(), 5);
}
