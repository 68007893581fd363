//! How a task changed from version to version: what each row of `task_history` holds, and how an earlier state is
//! computed from rows. It knows no events: it compares states, so that the history shows what a reader would have
//! seen.

use events::{Due, Priority, Status, Task, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

/// Every row with a multiple of this version holds the whole state, so that an earlier state is computed from at most
/// this many rows.
const STATE_EVERY: u64 = 64;

/// The change of one field of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "field", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each variant is a field, with its value before and after"
)]
pub enum TaskChange {
    Title {
        from: Option<String>,
        to: String,
    },
    Description {
        from: Option<String>,
        to: Option<String>,
    },
    Status {
        from: Option<Status>,
        to: Status,
    },
    Priority {
        from: Option<Priority>,
        to: Priority,
    },
    Due {
        from: Option<Due>,
        to: Option<Due>,
    },
    Tags {
        from: Option<Vec<String>>,
        to: Vec<String>,
    },
    CompletedAt {
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    },
    DeletedAt {
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    },
}

/// A task as it was at some version, in the form in which rows keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of a task")]
pub struct PastTask {
    pub id: TaskId,
    pub title: String,
    pub description: Option<String>,
    pub status: Status,
    pub priority: Priority,
    pub due: Option<Due>,
    pub tags: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub version: u64,
}

impl TaskChange {
    /// The changes between two states; `before` is `None` for the creation of the task.
    #[must_use]
    pub fn between(before: Option<&Task>, after: &Task) -> Vec<Self> {
        let mut changes = Vec::new();
        if before.is_none_or(|before| before.title != after.title) {
            changes.push(Self::Title {
                from: before.map(|before| before.title.clone()),
                to: after.title.clone(),
            });
        }
        let description = before.and_then(|before| before.description.as_ref());
        if description != after.description.as_ref() {
            changes.push(Self::Description {
                from: description.cloned(),
                to: after.description.clone(),
            });
        }
        if before.is_none_or(|before| before.status != after.status) {
            changes.push(Self::Status {
                from: before.map(|before| before.status),
                to: after.status,
            });
        }
        if before.is_none_or(|before| before.priority != after.priority) {
            changes.push(Self::Priority {
                from: before.map(|before| before.priority),
                to: after.priority,
            });
        }
        let due = before.and_then(|before| before.due);
        if due != after.due {
            changes.push(Self::Due {
                from: due,
                to: after.due,
            });
        }
        let tags = before.map_or(&[] as &[String], |before| &before.tags);
        if tags != after.tags {
            changes.push(Self::Tags {
                from: before.map(|before| before.tags.clone()),
                to: after.tags.clone(),
            });
        }
        let completed_at = before.and_then(|before| before.completed_at);
        if completed_at != after.completed_at {
            changes.push(Self::CompletedAt {
                from: completed_at,
                to: after.completed_at,
            });
        }
        let deleted_at = before.and_then(|before| before.deleted_at);
        if deleted_at != after.deleted_at {
            changes.push(Self::DeletedAt {
                from: deleted_at,
                to: after.deleted_at,
            });
        }
        changes
    }

    /// Whether the row of the version that follows `before` holds the whole state.
    #[must_use]
    pub const fn holds_state(before: Option<&Task>, after: &Task) -> bool {
        // The first version consists of its changes alone. A skipped version counts.
        match before {
            Some(before) => before.version / STATE_EVERY < after.version / STATE_EVERY,
            None => false,
        }
    }
}

impl PastTask {
    /// The task before its first version.
    #[must_use]
    pub const fn unborn(id: TaskId, created_at: Timestamp) -> Self {
        Self {
            id,
            title: String::new(),
            description: None,
            status: Status::Open,
            priority: Priority::Normal,
            due: None,
            tags: Vec::new(),
            created_at,
            updated_at: created_at,
            completed_at: None,
            deleted_at: None,
            version: 0,
        }
    }

    /// The task after the changes of one version, which was recorded at `at`.
    #[must_use]
    pub fn after(mut self, changes: Vec<TaskChange>, version: u64, at: Timestamp) -> Self {
        for change in changes {
            match change {
                TaskChange::Title { to, .. } => self.title = to,
                TaskChange::Description { to, .. } => self.description = to,
                TaskChange::Status { to, .. } => self.status = to,
                TaskChange::Priority { to, .. } => self.priority = to,
                TaskChange::Due { to, .. } => self.due = to,
                TaskChange::Tags { to, .. } => self.tags = to,
                TaskChange::CompletedAt { to, .. } => self.completed_at = to,
                TaskChange::DeletedAt { to, .. } => self.deleted_at = to,
            }
        }
        self.version = version;
        self.updated_at = at;
        self
    }
}

impl From<&Task> for PastTask {
    fn from(task: &Task) -> Self {
        // Destructured, so that the compiler reports a new field of the state.
        let Task {
            id,
            owner: _,
            title,
            description,
            status,
            priority,
            due,
            tags,
            created_at,
            updated_at,
            completed_at,
            deleted_at,
            version,
        } = task;
        Self {
            id: *id,
            title: title.clone(),
            description: description.clone(),
            status: *status,
            priority: *priority,
            due: *due,
            tags: tags.clone(),
            created_at: *created_at,
            updated_at: *updated_at,
            completed_at: *completed_at,
            deleted_at: *deleted_at,
            version: *version,
        }
    }
}
