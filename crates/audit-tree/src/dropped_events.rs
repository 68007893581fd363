//! Checks that every missing payload can have been dropped by `taskledger events drop`. The rest of the log shows
//! this: the streams, types and times of events, and the records of the command. Someone who deletes another payload
//! in the database and keeps its hash does not change a leaf of the tree; this check finds it.

use std::collections::{HashMap, HashSet};

use events::{
    AccountErased, DropCommand, ExportedPayloads, Metadata, OperationStarted, SessionEnded, StoredEvent,
    StreamKind, StreamName, TaskPurged, UserId,
};
use uuid::Uuid;

use crate::origin::announced_by;

/// The most differences that are reported.
const MAX_DIFFERENCES: usize = 10;

/// The stream of an event, if it is one that can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stream {
    Task(Uuid),
    Account(Uuid),
    Session(Uuid),
}

/// The parts of an event that are needed here, without its payload.
#[derive(Debug)]
pub struct EventHeader {
    position: i64,
    recorded_at: i64,
    /// The stream; `None` when streams of this kind never end.
    stream: Option<Stream>,
    /// Whether its payload is missing.
    pub(crate) is_dropped: bool,
    /// Whether it ends its stream.
    is_end: bool,
    /// The person that it is about, if its payload is missing.
    subject: Option<UserId>,
    /// The recorded command, if it is the record of one.
    command: Option<DropCommand>,
    /// The origin of the tree that it announces, if any.
    pub(crate) announced_origin: Option<String>,
}

impl EventHeader {
    /// The header of `event`.
    pub fn of(event: &StoredEvent) -> Self {
        let is_dropped = event.data.whole().is_none();
        let metadata = || serde_json::from_slice::<Metadata>(&event.metadata).ok();
        let command = match event.data.whole() {
            Some(data) if OperationStarted::has_kind(&event.kind) => {
                let started = serde_json::from_slice::<OperationStarted>(data).ok();
                started.and_then(|started| DropCommand::parse(&started.command))
            }
            _ => None,
        };
        let (stream, is_end) = match StreamName::raw(&*event.stream).kind() {
            Ok(StreamKind::Task(id)) => (Some(Stream::Task(id.0)), TaskPurged::has_kind(&event.kind)),
            Ok(StreamKind::Account(id)) => {
                (Some(Stream::Account(id.0)), AccountErased::has_kind(&event.kind))
            }
            Ok(StreamKind::Session(id)) => (Some(Stream::Session(id.0)), SessionEnded::has_kind(&event.kind)),
            Ok(StreamKind::Email(_) | StreamKind::Admins | StreamKind::Operation(_)) | Err(_) => {
                (None, false)
            }
        };
        Self {
            position: event.position,
            recorded_at: event.recorded_at,
            stream,
            is_dropped,
            is_end,
            subject: is_dropped.then(metadata).flatten().map(|metadata| metadata.subject),
            command,
            announced_origin: announced_by(event),
        }
    }
}

/// The missing payloads of a stream that has not been seen to end.
#[derive(Debug)]
struct Missing {
    /// The position of the first one.
    first: i64,
    subject: Option<UserId>,
}

/// The missing payloads, and the evidence that they may be missing.
#[derive(Debug, Default)]
pub struct DroppedEvents {
    count: u64,
    /// About 80 bytes for each stream that has not been seen to end: mostly sessions that ran out.
    missing: HashMap<Stream, Missing>,
    erased: HashSet<Uuid>,
    /// The recording time and the position of the youngest of them.
    youngest: Option<(i64, i64)>,
    /// Payloads of streams that ended before this time were dropped by commands.
    ended_before: Option<i64>,
    exported: HashMap<String, u64>,
    first_difference: Option<i64>,
    differences: Vec<String>,
}

impl DroppedEvents {
    /// Takes the next event of the log, which has to be given from its beginning on.
    pub fn push(&mut self, event: &EventHeader) {
        if let Some(command) = &event.command {
            self.note_command(command);
        }
        if event.is_dropped {
            self.note_missing(event);
            return;
        }
        let Some(stream) = event.stream else { return };
        if let (Stream::Account(person), true) = (stream, event.is_end) {
            self.erased.insert(person);
        }
        // The last payloads of a stream are dropped first, so that only the end of the stream may follow them. The end
        // of a session follows only if it was appended after they were dropped.
        let is_after_a_drop = self.ended_before.is_some() || !matches!(stream, Stream::Session(_));
        if !self.missing.is_empty()
            && let Some(missing) = self.missing.remove(&stream)
            && !(event.is_end && is_after_a_drop)
        {
            self.goes_on(missing.first);
        }
    }

    fn note_command(&mut self, command: &DropCommand) {
        let Some(ExportedPayloads { payloads, root }) = &command.exported else {
            return;
        };
        let before = command.ended_before.as_micros();
        self.ended_before = self.ended_before.max(Some(before));
        // A command that was interrupted may be repeated with the same file.
        self.exported.insert(root.clone(), *payloads);
    }

    fn note_missing(&mut self, event: &EventHeader) {
        self.count += 1;
        self.youngest = self.youngest.max(Some((event.recorded_at, event.position)));
        let Some(stream) = event.stream else {
            let what = "and nothing of such a stream is ever dropped";
            return self.differs(event.position, what);
        };
        if event.is_end && matches!(stream, Stream::Session(_)) {
            // The end of a session goes with the rest of it.
            self.missing.remove(&stream);
            return;
        }
        self.missing.entry(stream).or_insert(Missing { first: event.position, subject: event.subject });
    }

    /// The payloads that the command cannot have dropped, described in sentences, with the lowest position.
    /// `is_whole` says whether the whole log was given: the end of a stream may be in the missing part.
    #[must_use]
    pub fn finish(mut self, is_whole: bool) -> (Option<i64>, Vec<String>) {
        if is_whole {
            self.require_ends();
            self.require_records();
        }
        (self.first_difference, self.differences)
    }

    fn require_ends(&mut self) {
        let has_ended = |stream: &Stream, missing: &Missing| match stream {
            // It ran out: the time of its end was in the dropped payload, and there are no later events.
            Stream::Session(_) => true,
            Stream::Task(_) => missing.subject.is_some_and(|it| self.erased.contains(&it.0)),
            Stream::Account(_) => false,
        };
        let open = self.missing.iter().filter(|(stream, it)| !has_ended(stream, it));
        let mut open: Vec<i64> = open.map(|(_, missing)| missing.first).collect();
        open.sort_unstable();
        for first in open {
            self.goes_on(first);
        }
    }

    fn require_records(&mut self) {
        let Some((recorded_at, position)) = self.youngest else {
            return;
        };
        if self.ended_before.is_none_or(|before| recorded_at >= before) {
            let what = "and no `events drop` is recorded that dropped what is of that time";
            self.differs(position, what);
        }
        let recorded: u64 = self.exported.values().sum();
        if self.count > recorded && self.differences.is_empty() {
            self.differences.push(format!(
                "{} payloads are missing, and the `events drop` that are recorded had only {recorded} to drop",
                self.count
            ));
        }
    }

    fn goes_on(&mut self, position: i64) {
        let what = "and its stream has not ended, so that `events drop` cannot have dropped it";
        self.differs(position, what);
    }

    fn differs(&mut self, position: i64, what: &str) {
        let first = self.first_difference.map_or(position, |first| first.min(position));
        self.first_difference = Some(first);
        if self.differences.len() < MAX_DIFFERENCES {
            let what = format!("the payload of the event at position {position} is missing, {what}");
            self.differences.push(what);
        }
    }
}
