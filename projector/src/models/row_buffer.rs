//! The rows of one read model in memory, and how an event changes one of them.

use std::collections::HashMap;

use events::{RecordedEvent, UserId};
use uuid::Uuid;

use super::model::Model;

/// The rows of one read model by id.
#[derive(Debug)]
pub(crate) struct RowBuffer<M>(pub(crate) HashMap<Uuid, Slot<M>>);

/// One row, as it was or after changes.
#[derive(Debug)]
pub(crate) struct Slot<M> {
    pub(crate) state: M,
    /// The position of the last applied event.
    pub(crate) position: u64,
    pub(crate) changed: bool,
}

/// Why an event cannot be applied to its row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApplyFailure {
    #[error("version {version} follows version {projected}: what is between is missing")]
    Hole { version: u64, projected: u64 },
    /// The event does not fit the state.
    #[error("{0}")]
    Senseless(String),
}

impl<M> Default for RowBuffer<M> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<M: Model> RowBuffer<M> {
    /// The version of the row; 0 without one.
    pub(crate) fn version(&self, id: Uuid) -> u64 {
        self.0.get(&id).map_or(0, |slot| slot.state.version())
    }

    /// Applies an event that is not a repetition, and returns the state before.
    pub(crate) fn apply(
        &mut self,
        id: Uuid,
        event: &M::Event,
        record: &RecordedEvent,
    ) -> Result<Option<M>, ApplyFailure> {
        let projected = self.version(id);
        if record.version != projected + 1 && !M::starts_over(event) {
            return Err(ApplyFailure::Hole { version: record.version, projected });
        }
        let subject = record.metadata.subject;
        let is_someone_else = |named: UserId| named != subject;
        let before = self.0.get(&id).map(|slot| &slot.state);
        if M::named(id, event).is_some_and(is_someone_else)
            || before.is_some_and(|state| is_someone_else(state.subject()))
        {
            return Err(ApplyFailure::Senseless(
                "its subject is not the one whom its stream is about".to_owned(),
            ));
        }
        let Some(state) = M::evolve(before.cloned(), &id.into(), event, record.version, record.recorded_at)
        else {
            return Err(ApplyFailure::Senseless("its stream does not begin with this type".to_owned()));
        };
        if let Some((field, _)) = state.texts().find(|(_, text)| text.contains('\0')) {
            return Err(ApplyFailure::Senseless(format!(
                "its {field} contains U+0000, which PostgreSQL cannot store"
            )));
        }
        let replaced = self.0.insert(id, Slot { state, position: record.position, changed: true });
        Ok(replaced.map(|slot| slot.state))
    }

    /// Removes the row, because the log no longer has its content. Returns whether there was one.
    pub(crate) fn remove(&mut self, id: Uuid) -> bool {
        self.0.remove(&id).is_some()
    }

    /// Skips a discarded event: only the version of the row changes.
    pub(crate) fn pass_over(&mut self, id: Uuid, record: &RecordedEvent) {
        if let Some(slot) = self.0.get_mut(&id)
            && record.version == slot.state.version() + 1
        {
            slot.state.set_version(record.version);
            // Clients that ask for later changes get the new version.
            slot.position = record.position;
            slot.changed = true;
        }
    }
}
