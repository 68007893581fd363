//! How a task changed from version to version: what each row of `task_history` holds, and how an earlier state is
//! computed from rows. It knows no events: it compares states, so that the history shows what a reader would have
//! seen.

use events::{Due, Priority, Status, Task, Timestamp};
use serde::{Deserialize, Serialize};

/// Every row with a multiple of this version holds the whole state, so that an earlier state is computed from at most
/// this many rows.
const STATE_INTERVAL: u64 = 64;

/// The change of one field of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "field", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is a field, with its value before and after")]
pub enum TaskChange {
    Title { from: Option<String>, to: String },
    Description { from: Option<String>, to: Option<String> },
    Status { from: Option<Status>, to: Status },
    Priority { from: Option<Priority>, to: Priority },
    Due { from: Option<Due>, to: Option<Due> },
    Tags { from: Option<Vec<String>>, to: Vec<String> },
    CompletedAt { from: Option<Timestamp>, to: Option<Timestamp> },
    DeletedAt { from: Option<Timestamp>, to: Option<Timestamp> },
}

impl TaskChange {
    /// The changes between two states; `before` is `None` for the creation of the task.
    pub fn between(before: Option<&Task>, after: &Task) -> Vec<Self> {
        let is_new = before.is_none();
        let blank = Task::blank(after.id, after.created_at);
        let old = before.unwrap_or(&blank);
        let mut changes = Vec::new();
        if is_new || old.title != after.title {
            let (from, to) = (before.map(|old| old.title.clone()), after.title.clone());
            changes.push(Self::Title { from, to });
        }
        if old.description != after.description {
            let (from, to) = (old.description.clone(), after.description.clone());
            changes.push(Self::Description { from, to });
        }
        if is_new || old.status != after.status {
            let (from, to) = (before.map(|old| old.status), after.status);
            changes.push(Self::Status { from, to });
        }
        if is_new || old.priority != after.priority {
            let (from, to) = (before.map(|old| old.priority), after.priority);
            changes.push(Self::Priority { from, to });
        }
        if old.due != after.due {
            let (from, to) = (old.due, after.due);
            changes.push(Self::Due { from, to });
        }
        if old.tags != after.tags {
            let (from, to) = (before.map(|old| old.tags.clone()), after.tags.clone());
            changes.push(Self::Tags { from, to });
        }
        if old.completed_at != after.completed_at {
            let (from, to) = (old.completed_at, after.completed_at);
            changes.push(Self::CompletedAt { from, to });
        }
        if old.deleted_at != after.deleted_at {
            let (from, to) = (old.deleted_at, after.deleted_at);
            changes.push(Self::DeletedAt { from, to });
        }
        changes
    }

    /// Whether the row of the version that follows `before` holds the whole state.
    pub const fn holds_state(before: Option<&Task>, after: &Task) -> bool {
        // The first version consists of its changes alone. A skipped version counts.
        match before {
            Some(before) => before.version / STATE_INTERVAL < after.version / STATE_INTERVAL,
            None => false,
        }
    }

    /// The task after the changes of one version, which was recorded at `at`.
    pub fn apply(changes: Vec<Self>, mut task: Task, version: u64, at: Timestamp) -> Task {
        for change in changes {
            match change {
                Self::Title { to, .. } => task.title = to,
                Self::Description { to, .. } => task.description = to,
                Self::Status { to, .. } => task.status = to,
                Self::Priority { to, .. } => task.priority = to,
                Self::Due { to, .. } => task.due = to,
                Self::Tags { to, .. } => task.tags = to,
                Self::CompletedAt { to, .. } => task.completed_at = to,
                Self::DeletedAt { to, .. } => task.deleted_at = to,
            }
        }
        task.version = version;
        task.updated_at = at;
        task
    }
}
