//! Payloads that are dropped: they are gone for every reader, and everything else is as before.

use event_store::{DropError, StoreError, head_point};
use events::{Encoding, EventDigest, LogPoint, StoredEvent, StoredPayload};

use super::{TestLog, conflict, event, events, importing::stored, stream, whole_log};

fn digests(events: &[StoredEvent]) -> Vec<EventDigest> {
    events.iter().map(StoredEvent::digest).collect()
}

/// Five events of one stream with one of another between; payloads 2, 4 and 5 are dropped.
pub(crate) async fn dropped_payloads_leave_everything_else(log: &dyn TestLog) {
    let store = log.store().await;
    let name = stream("task-a");
    store.append(&name, 0, events(3)).await.unwrap();
    store.append(&stream("task-b"), 0, events(1)).await.unwrap();
    store.append(&name, 3, events(2)).await.unwrap();
    let (before, read_before) = (stored(&*store).await, whole_log(&*store).await);
    let all = digests(&before);
    let head = store.stream_head(&name).await.unwrap();
    let outcome = store.drop_payloads(&[all[5].clone(), all[1].clone()]).await;
    if matches!(outcome, Err(DropError::Unsupported)) {
        let nothing = store.drop_payloads(&[]).await;
        assert!(matches!(nothing, Err(DropError::Unsupported)), "{nothing:?}");
        assert_eq!(stored(&*store).await, before);
        return;
    }
    assert_eq!(outcome.unwrap(), 2);
    // Some of them for the second time, by another process.
    let other = log.store().await;
    assert_eq!(other.drop_payloads(&[all[4].clone(), all[5].clone()]).await.unwrap(), 1);
    assert_eq!(store.drop_payloads(&[]).await.unwrap(), 0);

    let after = stored(&*store).await;
    assert_eq!(digests(&after), all, "the tree over the log stays the same");
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        let is_dropped = [1, 4, 5].contains(&index);
        assert_eq!(after.data == StoredPayload::Dropped(before.data.sha256()), is_dropped, "{index}");
        assert_eq!(after == before, !is_dropped, "{index}");
    }
    for (before, after) in read_before.iter().zip(whole_log(&*store).await) {
        let index = usize::try_from(before.position - 1).unwrap();
        assert_eq!(after.is_dropped(), [1, 4, 5].contains(&index), "{index}");
        if after.is_dropped() {
            assert!(after.data.is_empty());
            let mut as_before = after.clone();
            (as_before.encoding, as_before.data) = (Encoding::Json, before.data.clone());
            assert_eq!(&as_before, before);
        } else {
            assert_eq!(&after, before);
        }
    }
    assert_eq!(store.stream_head(&name).await.unwrap(), head);
    let of_stream = store.read_stream(&name, 3, 10).await.unwrap();
    assert!(of_stream.len() == 2 && of_stream.iter().all(events::RecordedEvent::is_dropped));
    // The stream goes on, and another version is a conflict.
    assert_eq!(conflict(store.append(&name, 4, vec![event("{}")]).await), 5);
    store.append(&name, 5, vec![event("{}")]).await.unwrap();

    // An event that differs from the log in any column drops nothing, and neither do the others of the same call.
    let edits: [fn(&mut EventDigest); 5] = [
        |event| event.position = 1_000,
        |event| event.id = uuid::Uuid::now_v7().to_string(),
        |event| event.version += 1,
        |event| event.data_sha256 = events::sha256(b"other"),
        |event| event.metadata_sha256 = events::sha256(b"other"),
    ];
    for edit in edits {
        let mut wrong = all[2].clone();
        edit(&mut wrong);
        let outcome = store.drop_payloads(&[all[0].clone(), wrong.clone()]).await;
        assert!(
            matches!(outcome, Err(DropError::Differs(position)) if position == wrong.position),
            "{outcome:?}"
        );
    }
    assert_eq!(stored(&*store).await[..6], after);
}

/// A dropped payload stays dropped when it is imported into another log.
pub(crate) async fn imports_keep_what_was_dropped(log: &dyn TestLog) {
    let store = log.store().await;
    let mut events = vec![super::foreign("task-a", 1), super::foreign("task-a", 2)];
    let kept = events[1].data.sha256();
    events[1].data = StoredPayload::Dropped(kept.clone());
    let end = store.import(LogPoint::START, &events).await.unwrap();
    assert_eq!(head_point(&*store).await.unwrap(), end);
    let there = stored(&*store).await;
    assert_eq!(there[0].data, events[0].data);
    assert_eq!(there[1].data, StoredPayload::Dropped(kept));
    assert_eq!(there[1].encoding, events[1].encoding);
    let read = whole_log(&*store).await;
    assert!(!read[0].is_dropped() && read[1].is_dropped());

    let mut bad = super::foreign("task-a", 3);
    bad.data = StoredPayload::Dropped("no hash".to_owned());
    let refused = store.import(end, &[bad]).await;
    assert!(matches!(refused, Err(event_store::ImportError::Refused { .. })), "{refused:?}");
    let appended: Result<_, StoreError> = store.append(&stream("task-a"), 2, vec![event("{}")]).await;
    assert_eq!(appended.unwrap().version, 3);
}
