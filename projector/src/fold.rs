//! Many events folded in memory into the rows that they change. Knows nothing of SQL or of where events come
//! from, so projecting and verifying share it.

use std::collections::{HashMap, HashSet};

use events::{
    Account, AccountEvent, Event, RecordedEvent, Session, SessionEvent, StreamKind, StreamName, Task,
    TaskEvent, UserId,
};
use uuid::Uuid;

use crate::{
    decode::Decoded,
    models::{Model, TaskVersion},
};

/// Rows as far as they are known, and what became of events that could not be applied to them.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    pub(crate) tasks: Slots<Task>,
    pub(crate) accounts: Slots<Account>,
    pub(crate) sessions: Slots<Session>,
    /// The people who were erased, with the position of the event that did it.
    pub(crate) erased: HashMap<UserId, u64>,
    /// Of each stream with parked events the version of the first.
    pub(crate) parked: HashMap<StreamName, u64>,
    /// Events that an operator gave up on.
    pub(crate) discarded: HashMap<StreamName, HashSet<u64>>,
    /// Streams whose row is there, but is not one that this build can read.
    pub(crate) unreadable_rows: HashMap<StreamName, UnreadableRow>,
    /// What this fold has parked.
    pub(crate) newly_parked: Vec<Parked>,
    /// Whom this fold has erased.
    pub(crate) newly_erased: Vec<UserId>,
    /// What events have made of tasks, if anybody wants to know.
    pub(crate) history: Option<Vec<TaskVersion>>,
}

/// An event that is to be parked.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) record: RecordedEvent,
    pub(crate) cause: Cause,
    pub(crate) reason: String,
}

/// What kind of reason an event is parked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its record cannot be read.
    Record,
    /// The row that it changes cannot be read.
    Row,
    /// It cannot be applied.
    Event,
    /// The database refuses what it leads to.
    Refused,
    /// An earlier event of its stream is parked.
    Follows,
}

/// A row that this build cannot read.
#[derive(Debug)]
pub(crate) struct UnreadableRow {
    /// The version of its stream that it stands for, when that can be read.
    pub(crate) version: Option<u64>,
    pub(crate) reason: String,
}

/// The rows of one read model by id.
#[derive(Debug)]
pub(crate) struct Slots<M>(pub(crate) HashMap<Uuid, Slot<M>>);

/// One row: as it was, or as it has become.
#[derive(Debug)]
pub(crate) struct Slot<M> {
    pub(crate) state: M,
    /// Of the last event applied.
    pub(crate) position: u64,
    pub(crate) changed: bool,
}

/// An event does not follow its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    /// There are events between that have not been seen.
    #[error("version {version} follows version {projected}: what is between is missing")]
    Hole { version: u64, projected: u64 },
    /// The event makes no sense where it is.
    #[error("{0}")]
    Senseless(String),
}

/// What to do with an event that leaves a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holes {
    /// Say so: what is missing may be in the store.
    Report,
    /// Park it: it comes from the store, where nothing can be missing.
    Park,
}

/// There are events between that only the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoleFound;

impl<M> Default for Slots<M> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl Fold {
    /// Applies one event, or parks it. `doomed` is why it must be parked whatever it says.
    pub(crate) fn take(
        &mut self,
        event: &Decoded,
        doomed: Option<&str>,
        holes: Holes,
    ) -> Result<(), HoleFound> {
        let record = &event.record;
        if self.erased.contains_key(&record.metadata.subject) {
            return Ok(());
        }
        if let Ok(Event::Account(AccountEvent::Erased(_))) = &event.payload
            && record.stream == StreamName::account(record.metadata.subject)
        {
            // Nothing follows it, so it need not wait for what came before, should that be parked.
            self.erase(record.metadata.subject, record.position);
            return Ok(());
        }
        if self
            .parked
            .get(&record.stream)
            .is_some_and(|first| *first <= record.version)
        {
            self.park(record, Cause::Follows, "an earlier event of its stream is parked");
            return Ok(());
        }
        let applied = match doomed {
            Some(reason) => {
                self.park(record, Cause::Refused, reason);
                return Ok(());
            }
            None => self.apply(event),
        };
        match applied {
            Ok(()) => Ok(()),
            Err(Misfit::Hole { .. }) if holes == Holes::Report => Err(HoleFound),
            Err(misfit) => {
                let cause = if !event.readable {
                    Cause::Record
                } else if self.unreadable_rows.contains_key(&record.stream) {
                    Cause::Row
                } else {
                    Cause::Event
                };
                self.park(record, cause, &misfit.to_string());
                Ok(())
            }
        }
    }

    /// Applies one event to its row.
    pub(crate) fn apply(&mut self, event: &Decoded) -> Result<(), Misfit> {
        let record = &event.record;
        let senseless = |reason: &str| Misfit::Senseless(reason.to_owned());
        let is_discarded = self
            .discarded
            .get(&record.stream)
            .is_some_and(|versions| versions.contains(&record.version));
        let Ok(stream) = record.stream.kind() else {
            return if is_discarded {
                Ok(())
            } else {
                Err(senseless("its stream is of no known kind"))
            };
        };
        if let Some(row) = self.unreadable_rows.get(&record.stream) {
            return match row.version {
                Some(version) if record.version <= version => Ok(()),
                _ => Err(senseless(&row.reason)),
            };
        }
        if record.version <= self.version(&stream) && record.version > 0 {
            return Ok(());
        }
        if is_discarded {
            self.pass_over(&stream, record);
            return Ok(());
        }
        match (
            stream,
            event.payload.as_ref().map_err(|reason| senseless(reason))?,
        ) {
            (StreamKind::Email(_), Event::Email(_)) | (StreamKind::Admins, Event::Admins(_)) => Ok(()),
            (StreamKind::Task(id), Event::Task(event)) => {
                let owner = if let TaskEvent::Created(created) = event {
                    Some(created.owner)
                } else {
                    None
                };
                let before = self.tasks.apply(id.0, owner, event, record)?;
                if let (Some(history), Some(after)) = (&mut self.history, self.tasks.0.get(&id.0)) {
                    history.push(TaskVersion::of(record, before.as_ref(), &after.state));
                }
                Ok(())
            }
            (StreamKind::Account(id), Event::Account(event)) => {
                self.accounts.apply(id.0, Some(id), event, record).map(drop)
            }
            (StreamKind::Session(id), Event::Session(event)) => {
                let account = if let SessionEvent::Started(started) = event {
                    Some(started.account)
                } else {
                    None
                };
                self.sessions.apply(id.0, account, event, record).map(drop)
            }
            _ => Err(senseless("its type does not belong into its stream")),
        }
    }

    /// The version that the row of `stream` stands for; 0 without a row, as for addresses.
    fn version(&self, stream: &StreamKind) -> u64 {
        match stream {
            StreamKind::Task(id) => self.tasks.version(id.0),
            StreamKind::Account(id) => self.accounts.version(id.0),
            StreamKind::Session(id) => self.sessions.version(id.0),
            StreamKind::Email(_) | StreamKind::Admins => 0,
        }
    }

    fn pass_over(&mut self, stream: &StreamKind, record: &RecordedEvent) {
        match stream {
            StreamKind::Task(id) => self.tasks.pass_over(id.0, record),
            StreamKind::Account(id) => self.accounts.pass_over(id.0, record),
            StreamKind::Session(id) => self.sessions.pass_over(id.0, record),
            StreamKind::Email(_) | StreamKind::Admins => {}
        }
    }

    fn erase(&mut self, subject: UserId, position: u64) {
        self.erased.insert(subject, position);
        self.newly_erased.push(subject);
        self.newly_parked
            .retain(|parked| parked.record.metadata.subject != subject);
    }

    fn park(&mut self, record: &RecordedEvent, cause: Cause, reason: &str) {
        self.parked.entry(record.stream.clone()).or_insert(record.version);
        self.newly_parked.push(Parked {
            record: record.clone(),
            cause,
            reason: reason.to_owned(),
        });
    }
}

impl<M: Model> Slots<M> {
    fn version(&self, id: Uuid) -> u64 {
        self.0.get(&id).map_or(0, |slot| slot.state.version())
    }

    /// Applies an event that is not a repetition, and returns the state before. `names` is the person whom the event says
    /// that the stream is about, where it says so.
    fn apply(
        &mut self,
        id: Uuid,
        names: Option<UserId>,
        event: &M::Event,
        record: &RecordedEvent,
    ) -> Result<Option<M>, Misfit> {
        let projected = self.version(id);
        if record.version != projected + 1 {
            return Err(Misfit::Hole {
                version: record.version,
                projected,
            });
        }
        let subject = record.metadata.subject;
        let before = self.0.get(&id).map(|slot| &slot.state);
        if names.is_some_and(|named| named != subject)
            || before.is_some_and(|state| state.subject() != subject)
        {
            return Err(Misfit::Senseless(
                "its subject is not the one whom its stream is about".to_owned(),
            ));
        }
        let Some(state) = M::evolve(before.cloned(), id, event, record.version, record.recorded_at) else {
            return Err(Misfit::Senseless(
                "its stream does not begin with this type".to_owned(),
            ));
        };
        if let Some(field) = state.unstorable() {
            return Err(Misfit::Senseless(format!(
                "its {field} contains U+0000, which PostgreSQL cannot store"
            )));
        }
        let replaced = self.0.insert(
            id,
            Slot {
                state,
                position: record.position,
                changed: true,
            },
        );
        Ok(replaced.map(|slot| slot.state))
    }

    fn pass_over(&mut self, id: Uuid, record: &RecordedEvent) {
        if let Some(slot) = self.0.get_mut(&id)
            && record.version == slot.state.version() + 1
        {
            slot.state.set_version(record.version);
            // Whoever asks what has changed since an earlier position learns of the new version.
            slot.position = record.position;
            slot.changed = true;
        }
    }
}

#[cfg(test)]
mod tests;
