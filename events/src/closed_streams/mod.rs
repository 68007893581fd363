//! Decides which streams are closed. Nothing is appended to a closed stream, and nobody reads its state, so its
//! payloads may be dropped from the log.
//!
//! A task ends when it is purged, a session when it ends or expires, and an account when its person is erased, which
//! also ends all of the person's tasks and sessions. The streams of addresses, admins and operations never end.

use crate::{
    AccountEvent, Event, RecordedEvent, SessionEvent, StreamKind, StreamName, TaskEvent, Timestamp, UserId,
};

/// Reads the events of one stream in order and decides whether the stream was closed before a given time, with no
/// later events.
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

/// What the events so far say about the end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The stream has not ended.
    None,
    /// It ended at this time, and none of its events are needed.
    At(Timestamp),
    /// It ended at this time, and its last event must be kept because it says so.
    AtLast(Timestamp),
    /// Some of its payloads were dropped earlier.
    Dropped,
    /// This cannot be decided, because a record cannot be read.
    Unknown,
}

/// Whether a stream was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The stream has not ended, or it ended too late.
    Open,
    /// This cannot be decided, because a record cannot be read.
    Unknown,
    /// The stream is closed. Payloads that were dropped earlier make no difference.
    Closed(Droppable),
}

/// How much of a stream may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Droppable {
    /// The payloads up to this version.
    pub up_to: u64,
    /// Whether these are all payloads of the stream.
    pub is_whole_stream: bool,
}

impl ClosedStream {
    /// Begins with `stream`, which may have been closed before `before`; `None` if such a stream is never closed.
    pub fn before(before: Timestamp, stream: &StreamName) -> Option<Self> {
        let kind = stream.kind().ok()?;
        matches!(kind, StreamKind::Task(_) | StreamKind::Session(_) | StreamKind::Account(_)).then_some(
            Self { before, kind, subject: UserId::NOBODY, last: 0, end: End::None, has_young: false },
        )
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

    /// Records that one event of the stream cannot be read.
    pub const fn push_unreadable(&mut self) {
        self.end = End::Unknown;
    }

    /// Whether the stream is open, whatever events follow.
    pub const fn is_open_for_sure(&self) -> bool {
        self.has_young
    }

    /// The person whose erasure ends this stream too.
    pub fn ends_with(&self) -> Option<UserId> {
        (!matches!(self.kind, StreamKind::Account(_))).then_some(self.subject)
    }

    /// The result after the last event. `person_is_erased` says that the person of [`Self::ends_with`] was erased
    /// before the given time.
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
        Closing::Closed(Droppable { up_to: self.last - u64::from(!is_whole_stream), is_whole_stream })
    }
}

#[cfg(test)]
mod tests;
