//! `task_history`: one row for every event of a task, with what it changed.

use database::Value;
use events::{RecordedEvent, Task, TaskId, TaskPurged};
use read_models::TaskChange;

use super::{
    audit::storable,
    table::{Column, Table},
};

pub(crate) const TASK_HISTORY: Table = Table {
    name: "task_history",
    columns: &[
        ("position", Column::Integer),
        ("task", Column::Uuid),
        ("owner", Column::Uuid),
        ("version", Column::Integer),
        ("event_id", Column::Uuid),
        ("type", Column::Text),
        ("actor", Column::Text),
        ("correlation_id", Column::Text),
        ("recorded_at", Column::Integer),
        ("changes", Column::Text),
        ("state", Column::Text),
    ],
};

/// The change of a task by one event.
#[derive(Debug)]
pub(crate) struct TaskVersion {
    pub(crate) record: RecordedEvent,
    pub(crate) task: TaskId,
    changes: Vec<TaskChange>,
    /// The whole state, for some versions.
    state: Option<Task>,
}

impl TaskVersion {
    /// The change by `record` of the task that was `before`.
    pub(crate) fn of(record: &RecordedEvent, before: Option<&Task>, after: &Task) -> Self {
        Self {
            record: record.clone(),
            task: after.id,
            changes: TaskChange::between(before, after),
            state: TaskChange::holds_state(before, after).then(|| after.clone()),
        }
    }

    /// The row of a purge: only the fact that it happened. Nothing else of the history is kept.
    pub(crate) fn purged(record: &RecordedEvent, after: &Task) -> Self {
        Self { record: record.clone(), task: after.id, changes: Vec::new(), state: None }
    }

    /// Whether it is the row of a purge, which is all that is left of the history.
    pub(crate) fn is_purge(&self) -> bool {
        TaskPurged::has_kind(&self.record.kind)
    }

    /// Appends its row in the order of the columns.
    pub(crate) fn values(&self, row: &mut Vec<Value>) {
        let Self { record, task, changes, state } = self;
        // Names, numbers and texts can always be written.
        let state = state.as_ref().map(|state| serde_json::to_string(state).unwrap_or_default());
        row.extend([
            record.position.into(),
            task.0.into(),
            record.metadata.subject.0.into(),
            record.version.into(),
            record.id.0.into(),
            storable(&record.kind).into(),
            record.metadata.actor.to_string().into(),
            storable(&record.metadata.correlation_id).into(),
            record.recorded_at.as_micros().into(),
            serde_json::to_string(changes).unwrap_or_default().into(),
            state.into(),
        ]);
    }
}
