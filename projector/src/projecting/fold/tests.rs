//! The fold's laws, event by event.

use bytes::Bytes;
use events::{
    AccountErased, AccountEvent, Actor, Encoding, EventId, Metadata, Priority, RecordedEvent, StreamName,
    TaskCreated, TaskEvent, TaskId, TaskRenamed, Timestamp, UserId,
};
use uuid::Uuid;

use super::{Fold, GapPolicy, HoleFound};
use crate::projecting::decode::Decoded;

const TASK: TaskId = TaskId(Uuid::from_u128(1));
const OWNER: UserId = UserId(Uuid::from_u128(2));

fn event(version: u64, kind: &str, data: Bytes) -> Decoded {
    Decoded::from(RecordedEvent {
        position: version * 10,
        stream: StreamName::task(TASK),
        version,
        id: EventId(Uuid::from_u128(u128::from(version))),
        kind: kind.to_owned(),
        schema_version: 1,
        encoding: Encoding::Json,
        data,
        metadata: Metadata::new(OWNER, Actor::System, "", Uuid::nil()),
        recorded_at: Timestamp::from_micros(i64::try_from(version).unwrap()),
    })
}

fn created() -> Decoded {
    let created = TaskCreated {
        owner: OWNER,
        title: "One".to_owned(),
        description: None,
        priority: Priority::Normal,
        due: None,
        tags: Vec::new(),
    };
    let encoded = TaskEvent::from(created).encode();
    event(1, encoded.kind, encoded.data)
}

fn renamed(version: u64, title: &str) -> Decoded {
    let encoded = TaskEvent::from(TaskRenamed { title: title.to_owned() }).encode();
    event(version, encoded.kind, encoded.data)
}

fn unreadable(version: u64) -> Decoded {
    event(version, "task.unknown", Bytes::new())
}

fn title_and_version(fold: &Fold) -> (&str, u64) {
    let slot = &fold.rows.tasks.0[&TASK.0];
    (&slot.state.title, slot.state.version)
}

fn parked(fold: &Fold) -> Vec<u64> {
    fold.newly_parked.iter().map(|parked| parked.record.version).collect()
}

#[test]
fn repetitions_change_nothing_even_when_unreadable() {
    let mut fold = Fold::default();
    for event in [created(), renamed(2, "Two"), created(), unreadable(2), renamed(2, "Again")] {
        assert_eq!(fold.take(&event, None, GapPolicy::Report), Ok(()));
    }
    assert_eq!(title_and_version(&fold), ("Two", 2));
    assert_eq!(parked(&fold), [] as [u64; 0]);
}

#[test]
fn a_hole_is_reported_or_parks_the_stream_and_leaves_the_row() {
    let mut fold = Fold::default();
    fold.take(&created(), None, GapPolicy::Report).unwrap();
    assert_eq!(fold.take(&renamed(3, "Three"), None, GapPolicy::Report), Err(HoleFound));
    assert_eq!(parked(&fold), [] as [u64; 0]);
    assert_eq!(fold.take(&renamed(3, "Three"), None, GapPolicy::Park), Ok(()));
    assert_eq!(fold.take(&renamed(4, "Four"), None, GapPolicy::Report), Ok(()));
    assert_eq!(title_and_version(&fold), ("One", 1));
    assert_eq!(parked(&fold), [3, 4]);
}

#[test]
fn versions_before_the_first_parked_one_still_apply() {
    let mut fold = Fold::default();
    fold.parked.insert(StreamName::task(TASK), 3);
    for event in [created(), renamed(2, "Two"), renamed(3, "Three")] {
        fold.take(&event, None, GapPolicy::Report).unwrap();
    }
    assert_eq!(title_and_version(&fold), ("Two", 2));
    assert_eq!(parked(&fold), [3]);
}

#[test]
fn a_discarded_event_is_passed_over() {
    let mut fold = Fold::default();
    fold.discarded.entry(StreamName::task(TASK)).or_default().insert(2);
    for event in [created(), unreadable(2), renamed(3, "Three")] {
        fold.take(&event, None, GapPolicy::Report).unwrap();
    }
    assert_eq!(title_and_version(&fold), ("Three", 3));
    assert_eq!(parked(&fold), [] as [u64; 0]);
}

#[test]
fn an_erasure_deletes_also_when_the_person_is_known_as_erased() {
    let mut fold = Fold::default();
    fold.erased.insert(OWNER, 30);
    let encoded = AccountEvent::from(AccountErased {}).encode();
    let mut erased = event(3, encoded.kind, encoded.data).record;
    erased.stream = StreamName::account(OWNER);
    for event in [created(), Decoded::from(erased)] {
        fold.take(&event, None, GapPolicy::Report).unwrap();
    }
    assert_eq!(fold.newly_erased, [OWNER]);
    assert!(fold.rows.tasks.0.is_empty());
}
