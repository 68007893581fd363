//! Which streams have ended for good: nobody appends to them or reads their state any more, so that the log may lose their payloads.
//!
//! A task ends when it is purged, a session when it ends or runs out, an account when its person is erased, and with the person
//! all of their tasks and sessions. Addresses, the admins, and what operators do are never closed.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    AccountEvent, Event, RecordedEvent, SessionEvent, StreamKind, StreamName, TaskEvent, Timestamp, UserId,
};

/// Finds the streams that were closed before some time, and to which nothing was appended since.
#[derive(Debug)]
pub struct ClosedStreams {
    before: Timestamp,
    streams: HashMap<StreamName, Stream>,
    /// Who was erased before that time.
    erased: HashMap<UserId, Timestamp>,
}

#[derive(Debug)]
struct Stream {
    subject: UserId,
    /// Its last version.
    last: u64,
    end: End,
    /// Whether it ends with its person, too.
    ends_with_person: bool,
}

/// What the last event of a stream says of its end.
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

/// How much of a stream may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Droppable {
    /// The payloads up to this version.
    pub up_to: u64,
    /// Whether these are all, so that nothing is left that says what the stream was about.
    pub is_whole_stream: bool,
}

impl ClosedStreams {
    /// Looks for streams that were closed before `before`.
    #[must_use]
    pub fn before(before: Timestamp) -> Self {
        Self {
            before,
            streams: HashMap::new(),
            erased: HashMap::new(),
        }
    }

    /// Takes the next event of the log, which has to be given from its beginning on.
    pub fn push(&mut self, event: &RecordedEvent) {
        if event.recorded_at >= self.before {
            self.streams.remove(&event.stream);
            return;
        }
        let Ok(kind) = event.stream.kind() else { return };
        if !matches!(
            kind,
            StreamKind::Task(_) | StreamKind::Session(_) | StreamKind::Account(_)
        ) {
            return;
        }
        let stream = match self.streams.entry(event.stream.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if event.version == 1 => new.insert(Stream {
                subject: event.metadata.subject,
                last: 0,
                end: End::None,
                ends_with_person: !matches!(kind, StreamKind::Account(_)),
            }),
            // It has events that are too young.
            Entry::Vacant(_) => return,
        };
        stream.last = event.version;
        if stream.end == End::Unknown {
            return;
        }
        let at = event.recorded_at;
        stream.end = match (kind, Event::try_from(event)) {
            _ if event.is_dropped() => End::Dropped,
            (StreamKind::Task(_), Ok(Event::Task(TaskEvent::Purged(_)))) => End::AtLast(at),
            (StreamKind::Account(id), Ok(Event::Account(AccountEvent::Erased(_)))) => {
                self.erased.insert(id, at);
                End::AtLast(at)
            }
            (StreamKind::Session(_), Ok(Event::Session(SessionEvent::Started(started)))) => {
                End::At(started.expires_at)
            }
            (StreamKind::Session(_), Ok(Event::Session(SessionEvent::Ended(_)))) => End::At(at),
            (StreamKind::Session(_), Ok(Event::Session(_))) => stream.end,
            (_, Ok(_)) => End::None,
            (_, Err(_)) => End::Unknown,
        };
    }

    /// Takes note of a record of `stream` that cannot be read: the stream stays as it is.
    pub fn push_unreadable(&mut self, stream: &StreamName) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.end = End::Unknown;
        }
    }

    /// The streams that were closed, once the whole log was given. Among them are those that were dropped before.
    #[must_use]
    pub fn finish(self) -> HashMap<StreamName, Droppable> {
        let Self {
            before,
            streams,
            erased,
        } = self;
        let is_before = |at: Timestamp| at < before;
        streams
            .into_iter()
            .filter_map(|(name, stream)| {
                let person_is_erased = stream.ends_with_person && erased.contains_key(&stream.subject);
                let is_whole_stream = match stream.end {
                    End::Unknown => return None,
                    End::AtLast(at) if is_before(at) => false,
                    End::At(at) if is_before(at) => true,
                    End::Dropped => true,
                    _ if person_is_erased => true,
                    _ => return None,
                };
                let up_to = stream.last - u64::from(!is_whole_stream);
                Some((
                    name,
                    Droppable {
                        up_to,
                        is_whole_stream,
                    },
                ))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        AccountErased, AccountRegistered, Actor, EmailReleased, Encoding, EndReason, EventId, Metadata,
        Priority, SecretHash, SessionEnded, SessionId, SessionStarted, TaskCreated, TaskDeleted, TaskId,
        TaskPurged,
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

    /// What of each stream may be dropped: up to which version, and whether that is all of it.
    fn given(log: &[(StreamName, u64, Event, i64)]) -> HashMap<StreamName, (u64, bool)> {
        let mut closed = ClosedStreams::before(BEFORE);
        for (stream, version, event, at) in log {
            closed.push(&record(stream, *version, event, *at));
        }
        shown(closed)
    }

    fn shown(closed: ClosedStreams) -> HashMap<StreamName, (u64, bool)> {
        let droppable = closed.finish().into_iter();
        droppable
            .map(|(stream, found)| (stream, (found.up_to, found.is_whole_stream)))
            .collect()
    }

    #[test]
    fn a_purged_task_keeps_its_purge() {
        let log = [(task(), 1, created(), EARLY), (task(), 2, purged(), EARLY)];
        assert_eq!(given(&log), HashMap::from([(task(), (1, false))]));
    }

    #[test]
    fn a_session_goes_whole_when_it_has_ended_or_run_out() {
        let whole = HashMap::from([(session(), (2, true))]);
        let log = [
            (session(), 1, started(LATE), EARLY),
            (session(), 2, ended(), EARLY),
        ];
        assert_eq!(given(&log), whole);
        let log = [(session(), 1, started(EARLY + 1), EARLY)];
        assert_eq!(given(&log), HashMap::from([(session(), (1, true))]));
        let open = [(session(), 1, started(LATE), EARLY)];
        assert!(given(&open).is_empty());
    }

    #[test]
    fn with_an_erased_person_all_of_theirs_ends() {
        let registered = Event::Account(AccountRegistered::default().into());
        let log = [
            (account(), 1, registered, EARLY),
            (task(), 1, created(), EARLY),
            (session(), 1, started(LATE), EARLY),
            (account(), 2, erased(), EARLY),
        ];
        let expected = [
            (account(), (1, false)),
            (task(), (1, true)),
            (session(), (1, true)),
        ];
        assert_eq!(given(&log), expected.into());
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
            vec![(task(), 1, created(), EARLY), (account(), 1, erased(), LATE)],
        ] {
            assert!(given(&log).is_empty(), "{log:?}");
        }
    }

    #[test]
    fn addresses_are_never_closed() {
        let released = Event::Email(EmailReleased {}.into());
        let log = [
            (StreamName::email("ab"), 1, released, EARLY),
            (account(), 1, erased(), EARLY),
        ];
        assert!(!given(&log).contains_key(&StreamName::email("ab")));
    }

    #[test]
    fn a_stream_with_something_unreadable_stays() {
        let mut closed = ClosedStreams::before(BEFORE);
        closed.push(&record(&task(), 1, &created(), EARLY));
        closed.push_unreadable(&task());
        closed.push(&record(&task(), 3, &purged(), EARLY));
        assert!(shown(closed).is_empty());

        let mut sealed = record(&task(), 1, &created(), EARLY);
        sealed.encoding = Encoding::Sealed;
        let mut closed = ClosedStreams::before(BEFORE);
        closed.push(&sealed);
        closed.push(&record(&task(), 2, &purged(), EARLY));
        assert!(shown(closed).is_empty());
    }

    #[test]
    fn what_was_broken_off_is_found_again() {
        let dropped = |stream: &StreamName, version| {
            let mut record = record(stream, version, &ended(), EARLY);
            (record.encoding, record.data) = (Encoding::Dropped, bytes::Bytes::new());
            record
        };
        let mut closed = ClosedStreams::before(BEFORE);
        closed.push(&record(&session(), 1, &started(LATE), EARLY));
        closed.push(&dropped(&session(), 2));
        closed.push(&record(&task(), 1, &created(), EARLY));
        closed.push(&dropped(&task(), 2));
        closed.push(&record(&task(), 3, &purged(), EARLY));
        let expected = [(session(), (2, true)), (task(), (2, false))];
        assert_eq!(shown(closed), expected.into());
    }
}
