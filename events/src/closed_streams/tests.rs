//! Which streams have ended, and which of their events may be dropped.

use uuid::Uuid;

use super::*;
use crate::{
    AccountErased, AccountRegistered, Actor, Encoding, EndReason, EventId, Metadata, Priority, SecretHash,
    SessionEnded, SessionId, SessionStarted, TaskCreated, TaskDeleted, TaskId, TaskPurged,
};

const BEFORE: Timestamp = Timestamp::from_micros(1_000);
const EARLY: i64 = 10;
const LATE: i64 = 2_000;

fn person() -> UserId {
    UserId(Uuid::from_u128(7))
}

fn task() -> StreamName {
    StreamName::task(TaskId(Uuid::from_u128(1)))
}

fn session() -> StreamName {
    StreamName::session(SessionId(Uuid::from_u128(2)))
}

fn account() -> StreamName {
    StreamName::account(person())
}

fn created() -> Event {
    Event::Task(
        TaskCreated {
            owner: person(),
            title: "One".to_owned(),
            description: None,
            priority: Priority::Normal,
            due: None,
            tags: Vec::new(),
        }
        .into(),
    )
}

fn purged() -> Event {
    Event::Task(TaskPurged {}.into())
}

fn started(expires_at: i64) -> Event {
    Event::Session(
        SessionStarted {
            account: person(),
            refresh_hash: SecretHash::default(),
            expires_at: Timestamp::from_micros(expires_at),
            ip: None,
            user_agent: None,
            methods: std::iter::empty().collect(),
            idle_seconds: None,
        }
        .into(),
    )
}

fn ended() -> Event {
    let reason = EndReason::Logout;
    Event::Session(SessionEnded { reason }.into())
}

fn erased() -> Event {
    Event::Account(AccountErased {}.into())
}

fn record(stream: &StreamName, version: u64, event: &Event, at: i64) -> RecordedEvent {
    let encoded = event.encode();
    RecordedEvent {
        position: 0,
        stream: stream.clone(),
        version,
        id: EventId(Uuid::nil()),
        kind: encoded.kind.to_owned(),
        schema_version: encoded.schema_version,
        encoding: encoded.encoding,
        data: encoded.data,
        metadata: Metadata::new(person(), Actor::System, "", Uuid::nil()),
        recorded_at: Timestamp::from_micros(at),
    }
}

/// What may be dropped of a stream: up to which version, and whether that is the whole stream.
fn given(log: &[(StreamName, u64, Event, i64)], person_is_erased: bool) -> Option<(u64, bool)> {
    let mut closed = ClosedStream::before(BEFORE, &log[0].0)?;
    for (stream, version, event, at) in log {
        closed.push(&record(stream, *version, event, *at));
    }
    shown(closed.finish(person_is_erased))
}

fn shown(closing: Closing) -> Option<(u64, bool)> {
    match closing {
        Closing::Closed(droppable) => Some((droppable.up_to, droppable.is_whole_stream)),
        Closing::Open | Closing::Unknown => None,
    }
}

#[test]
fn a_purged_task_keeps_its_purge() {
    let log = [(task(), 1, created(), EARLY), (task(), 2, purged(), EARLY)];
    assert_eq!(given(&log, false), Some((1, false)));
}

#[test]
fn a_session_goes_whole_when_it_has_ended_or_run_out() {
    let log = [(session(), 1, started(LATE), EARLY), (session(), 2, ended(), EARLY)];
    assert_eq!(given(&log, false), Some((2, true)));
    let log = [(session(), 1, started(EARLY + 1), EARLY)];
    assert_eq!(given(&log, false), Some((1, true)));
    let open = [(session(), 1, started(LATE), EARLY)];
    assert_eq!(given(&open, false), None);
}

#[test]
fn with_an_erased_person_all_of_theirs_ends() {
    let registered = Event::Account(AccountRegistered::default().into());
    let log = [(account(), 1, registered, EARLY), (account(), 2, erased(), EARLY)];
    assert_eq!(given(&log, false), Some((1, false)));
    for log in [[(task(), 1, created(), EARLY)], [(session(), 1, started(LATE), EARLY)]] {
        assert_eq!(given(&log, true), Some((1, true)));
    }
    let task = ClosedStream::before(BEFORE, &task()).map(|mut task| {
        task.push(&record(&session(), 1, &created(), EARLY));
        task.ends_with()
    });
    assert_eq!(task, Some(Some(person())));
    let account = ClosedStream::before(BEFORE, &account());
    assert_eq!(account.map(|account| account.ends_with()), Some(None));
}

#[test]
fn what_is_young_or_goes_on_stays() {
    let deleted = Event::Task(TaskDeleted {}.into());
    for log in [
        vec![(task(), 1, created(), EARLY), (task(), 2, purged(), LATE)],
        vec![(task(), 1, created(), LATE), (task(), 2, purged(), EARLY)],
        vec![(task(), 1, created(), EARLY), (task(), 2, deleted.clone(), EARLY)],
        vec![(task(), 1, created(), EARLY), (task(), 2, purged(), EARLY), (task(), 3, deleted, EARLY)],
        vec![(session(), 1, started(EARLY), EARLY), (session(), 2, ended(), LATE)],
        vec![(account(), 1, erased(), LATE)],
    ] {
        assert_eq!(given(&log, false), None, "{log:?}");
    }
}

#[test]
fn addresses_are_never_closed() {
    assert!(ClosedStream::before(BEFORE, &StreamName::email("ab")).is_none());
}

#[test]
fn of_a_stream_with_something_unreadable_nobody_knows() {
    let begun = || ClosedStream::before(BEFORE, &task()).unwrap();
    let mut closed = begun();
    closed.push(&record(&task(), 1, &created(), EARLY));
    closed.push_unreadable();
    closed.push(&record(&task(), 3, &purged(), EARLY));
    assert_eq!(closed.finish(true), Closing::Unknown);

    let mut sealed = record(&task(), 1, &created(), EARLY);
    sealed.encoding = Encoding::Sealed;
    let mut closed = begun();
    closed.push(&sealed);
    closed.push(&record(&task(), 2, &purged(), EARLY));
    assert_eq!(closed.finish(true), Closing::Unknown);
}

#[test]
fn what_was_broken_off_is_found_again() {
    let dropped = |stream: &StreamName, version| {
        let mut record = record(stream, version, &ended(), EARLY);
        (record.encoding, record.data) = (Encoding::Dropped, bytes::Bytes::new());
        record
    };
    let mut closed = ClosedStream::before(BEFORE, &session()).unwrap();
    closed.push(&record(&session(), 1, &started(LATE), EARLY));
    closed.push(&dropped(&session(), 2));
    assert_eq!(shown(closed.finish(false)), Some((2, true)));
    let mut closed = ClosedStream::before(BEFORE, &task()).unwrap();
    closed.push(&record(&task(), 1, &created(), EARLY));
    closed.push(&dropped(&task(), 2));
    closed.push(&record(&task(), 3, &purged(), EARLY));
    assert_eq!(shown(closed.finish(false)), Some((2, false)));
}
