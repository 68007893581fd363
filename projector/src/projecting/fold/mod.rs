//! Many events folded in memory into the rows that they change. Knows nothing of SQL or of the source of events, so
//! projecting and verifying share it.

use std::collections::{HashMap, HashSet};

use events::{AccountEvent, Event, RecordedEvent, StreamName, TaskId, UserId};

use crate::{
    models::{ApplyFailure, ModelRows},
    projecting::decode::{Decoded, Reading},
};

/// The known rows, and the events that could not be applied.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    pub(crate) rows: ModelRows,
    /// The people who were erased, with the position of the event that did it.
    pub(crate) erased: HashMap<UserId, u64>,
    /// The tasks that begin here and that an earlier projection has purged, with the position of the event that did it.
    pub(crate) purged: HashMap<TaskId, u64>,
    /// The version of the first parked event of each stream with any.
    pub(crate) parked: HashMap<StreamName, u64>,
    /// Events that an operator has discarded.
    pub(crate) discarded: HashMap<StreamName, HashSet<u64>>,
    /// Streams whose row exists but cannot be read by this build.
    pub(crate) unreadable_rows: HashMap<StreamName, UnreadableRow>,
    /// The events that this fold has parked.
    pub(crate) newly_parked: Vec<Parked>,
    /// The people that this fold has erased.
    pub(crate) newly_erased: Vec<UserId>,
    /// Streams whose rows this fold has removed, because their events were dropped from the log.
    pub(crate) newly_dropped: HashSet<StreamName>,
}

/// An event that is to be parked.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) record: RecordedEvent,
    pub(crate) cause: ParkCause,
    pub(crate) reason: String,
}

/// The kinds of reasons for parking an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParkCause {
    /// The record cannot be read.
    Record,
    /// The key of its person cannot be used.
    Key,
    /// The row that it changes cannot be read.
    Row,
    /// The event cannot be applied.
    Event,
    /// The database refuses the changed row.
    Refused,
    /// An earlier event of its stream is parked.
    Follows,
}

impl ParkCause {
    pub(crate) const ALL: [Self; 6] =
        [Self::Record, Self::Key, Self::Row, Self::Event, Self::Refused, Self::Follows];

    /// The name of the cause in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Key => "key",
            Self::Row => "row",
            Self::Event => "event",
            Self::Refused => "refused",
            Self::Follows => "follows",
        }
    }
}

/// A row that this build cannot read.
#[derive(Debug)]
pub(crate) struct UnreadableRow {
    /// The version of the row, if it can be read.
    pub(crate) version: Option<u64>,
    pub(crate) reason: String,
}

/// What to do when an earlier event is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapPolicy {
    /// Report it: the missing event may be in the store.
    Report,
    /// Park the event: it comes from the store, where none can be missing.
    Park,
}

/// Earlier events are missing, which only the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoleFound;

impl Fold {
    /// Applies one event, or parks it. `forced` is a reason to park it in any case.
    pub(crate) fn take(
        &mut self,
        event: &Decoded,
        forced: Option<&str>,
        gaps: GapPolicy,
    ) -> Result<(), HoleFound> {
        let record = &event.record;
        if let Ok(Event::Account(AccountEvent::Erased(_))) = &event.payload
            && record.stream == StreamName::account(record.metadata.subject)
        {
            // No event follows an erasure, so it need not wait for parked ones. Also when the person is known as
            // erased: whoever noted that may not have seen the rows that this projection wrote.
            self.erase(record.metadata.subject, record.position);
            return Ok(());
        }
        if self.erased.contains_key(&record.metadata.subject) {
            return Ok(());
        }
        if self.parked.get(&record.stream).is_some_and(|first| *first <= record.version) {
            self.park(record, ParkCause::Follows, "an earlier event of its stream is parked");
            return Ok(());
        }
        let applied = match forced {
            Some(reason) => {
                self.park(record, ParkCause::Refused, reason);
                return Ok(());
            }
            None => self.apply(event),
        };
        match applied {
            Ok(()) => Ok(()),
            Err(ApplyFailure::Hole { .. }) if gaps == GapPolicy::Report => Err(HoleFound),
            Err(failure) => {
                let cause = match event.reading {
                    Reading::Place => ParkCause::Record,
                    Reading::WithoutKey => ParkCause::Key,
                    Reading::Whole if self.unreadable_rows.contains_key(&record.stream) => ParkCause::Row,
                    Reading::Whole => ParkCause::Event,
                };
                self.park(record, cause, &failure.to_string());
                Ok(())
            }
        }
    }

    /// Applies one event to its row.
    pub(crate) fn apply(&mut self, event: &Decoded) -> Result<(), ApplyFailure> {
        let record = &event.record;
        let senseless = |reason: &str| ApplyFailure::Senseless(reason.to_owned());
        let is_discarded =
            self.discarded.get(&record.stream).is_some_and(|versions| versions.contains(&record.version));
        let Ok(stream) = record.stream.kind() else {
            return if is_discarded { Ok(()) } else { Err(senseless("its stream is of no known kind")) };
        };
        if let Some(row) = self.unreadable_rows.get(&record.stream) {
            return match row.version {
                Some(version) if record.version <= version => Ok(()),
                _ => Err(senseless(&row.reason)),
            };
        }
        if record.version <= self.rows.version(&stream) && record.version > 0 {
            return Ok(());
        }
        if is_discarded {
            self.rows.pass_over(&stream, record);
            return Ok(());
        }
        if record.is_dropped() {
            if self.rows.remove(&stream) {
                self.newly_dropped.insert(record.stream.clone());
            }
            return Ok(());
        }
        let payload = event.payload.as_ref().map_err(|reason| senseless(reason))?;
        self.rows.apply(&stream, payload, record)
    }

    fn erase(&mut self, subject: UserId, position: u64) {
        self.erased.entry(subject).or_insert(position);
        self.newly_erased.push(subject);
        self.newly_parked.retain(|parked| parked.record.metadata.subject != subject);
    }

    fn park(&mut self, record: &RecordedEvent, cause: ParkCause, reason: &str) {
        self.parked.entry(record.stream.clone()).or_insert(record.version);
        self.newly_parked.push(Parked { record: record.clone(), cause, reason: reason.to_owned() });
    }
}

#[cfg(test)]
mod tests;
