//! Which streams have ended for good: nobody appends to them or reads their state any more, so that the log may lose their payloads.
//!
//! A task ends when it is purged, a session when it ends or runs out, an account when its person is erased, and with the person
//! all of their tasks and sessions. Addresses, the admins, and what operators do are never closed.

use crate::{
    AccountEvent, Event, RecordedEvent, SessionEvent, StreamKind, StreamName, TaskEvent, Timestamp, UserId,
};

/// One stream on its way through its events: tells whether it was closed before some time, and nothing was appended to it since.
#[derive(Debug)]
pub struct ClosedStream {
    before: Timestamp,
    kind: StreamKind,
    subject: UserId,
    /// Its last version.
    last: u64,
    end: End,
    has_young: bool,
}

/// What the events of a stream so far say of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It goes on.
    None,
    /// It ends then, and nothing of it is needed.
    At(Timestamp),
    /// It has ended then, which its last event has to go on saying.
    AtLast(Timestamp),
    /// Payloads of it were dropped before.
    Dropped,
    /// Nobody knows, since one of its records cannot be read.
    Unknown,
}

/// Whether a stream was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It goes on, or has ended too late.
    Open,
    /// Nobody knows, since one of its records cannot be read.
    Unknown,
    /// It was closed. That it was dropped before changes nothing.
    Closed(Droppable),
}

/// How much of a stream may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Droppable {
    /// The payloads up to this version.
    pub up_to: u64,
    /// Whether these are all, so that nothing is left that says what the stream was about.
    pub is_whole_stream: bool,
}

impl ClosedStream {
    /// Begins with `stream`, which may have been closed before `before`; `None` if such a stream is never closed.
    #[must_use]
    pub fn before(before: Timestamp, stream: &StreamName) -> Option<Self> {
        let kind = stream.kind().ok()?;
        matches!(
            kind,
            StreamKind::Task(_) | StreamKind::Session(_) | StreamKind::Account(_)
        )
        .then_some(Self {
            before,
            kind,
            subject: UserId::NOBODY,
            last: 0,
            end: End::None,
            has_young: false,
        })
    }

    /// Takes the next event of the stream, which has to be given from its beginning on.
    pub fn push(&mut self, event: &RecordedEvent) {
        self.has_young |= event.recorded_at >= self.before;
        self.subject = event.metadata.subject;
        self.last = event.version;
        if self.end == End::Unknown {
            return;
        }
        let at = event.recorded_at;
        self.end = match (&self.kind, Event::try_from(event)) {
            _ if event.is_dropped() => End::Dropped,
            (StreamKind::Task(_), Ok(Event::Task(TaskEvent::Purged(_)))) => End::AtLast(at),
            (StreamKind::Account(_), Ok(Event::Account(AccountEvent::Erased(_)))) => End::AtLast(at),
            (StreamKind::Session(_), Ok(Event::Session(SessionEvent::Started(started)))) => {
                End::At(started.expires_at)
            }
            (StreamKind::Session(_), Ok(Event::Session(SessionEvent::Ended(_)))) => End::At(at),
            (StreamKind::Session(_), Ok(Event::Session(_))) => self.end,
            (_, Ok(_)) => End::None,
            (_, Err(_)) => End::Unknown,
        };
    }

    /// Takes note of a record of the stream that cannot be read.
    pub const fn push_unreadable(&mut self) {
        self.end = End::Unknown;
    }

    /// Whether nothing that follows can change that the stream is open.
    #[must_use]
    pub const fn is_open_for_sure(&self) -> bool {
        self.has_young
    }

    /// The person with whom the stream ends, too, should they be erased.
    #[must_use]
    pub fn ends_with(&self) -> Option<UserId> {
        (!matches!(self.kind, StreamKind::Account(_))).then_some(self.subject)
    }

    /// What the whole stream says, and `person_is_erased`: that the one whom it [ends with](Self::ends_with) was erased before that
    /// time.
    #[must_use]
    pub fn finish(self, person_is_erased: bool) -> Closing {
        let is_before = |at: Timestamp| at < self.before;
        let is_whole_stream = match self.end {
            _ if self.has_young => return Closing::Open,
            End::Unknown => return Closing::Unknown,
            End::AtLast(at) if is_before(at) => false,
            End::At(at) if is_before(at) => true,
            End::Dropped => true,
            _ if person_is_erased => true,
            _ => return Closing::Open,
        };
        Closing::Closed(Droppable {
            up_to: self.last - u64::from(!is_whole_stream),
            is_whole_stream,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        AccountErased, AccountRegistered, Actor, Encoding, EndReason, EventId, Metadata, Priority,
        SecretHash, SessionEnded, SessionId, SessionStarted, TaskCreated, TaskDeleted, TaskId, TaskPurged,
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
            metadata: Metadata {
                subject: person(),
                actor: Actor::System,
                correlation_id: "".into(),
                causation_id: Uuid::nil(),
                traceparent: None,
                idempotency_key: None,
            },
            recorded_at: Timestamp::from_micros(at),
        }
    }

    /// What of a stream may be dropped: up to which version, and whether that is all of it.
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
        let log = [
            (session(), 1, started(LATE), EARLY),
            (session(), 2, ended(), EARLY),
        ];
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
        for log in [
            [(task(), 1, created(), EARLY)],
            [(session(), 1, started(LATE), EARLY)],
        ] {
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
            vec![
                (task(), 1, created(), EARLY),
                (task(), 2, purged(), EARLY),
                (task(), 3, deleted, EARLY),
            ],
            vec![
                (session(), 1, started(EARLY), EARLY),
                (session(), 2, ended(), LATE),
            ],
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
}
