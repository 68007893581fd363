//! A task: its events, its state, and the fold from one to the other.

use serde::{Deserialize, Serialize};

use crate::{Aggregate, Due, StreamName, TaskId, Timestamp, UserId, codec::catalog, named::named};

catalog! {
    /// An event of a task.
    TaskEvent {
        Created(TaskCreated) = "task.created", 1;
        Renamed(TaskRenamed) = "task.renamed", 1;
        Described(TaskDescribed) = "task.described", 1;
        Prioritized(TaskPrioritized) = "task.prioritized", 1;
        Scheduled(TaskScheduled) = "task.scheduled", 1;
        Tagged(TaskTagged) = "task.tagged", 1;
        Started(TaskStarted) = "task.started", 1;
        Completed(TaskCompleted) = "task.completed", 1;
        Cancelled(TaskCancelled) = "task.cancelled", 1;
        Reopened(TaskReopened) = "task.reopened", 1;
        Deleted(TaskDeleted) = "task.deleted", 1;
        Restored(TaskRestored) = "task.restored", 1;
        Purged(TaskPurged) = "task.purged", 1;
    }
}

named! {
    /// The state of a task.
    Status {
        /// Work has not begun.
        Open = "open";
        /// Work has begun.
        InProgress = "in_progress";
        /// It is finished.
        Done = "done";
        /// It was given up.
        Cancelled = "cancelled";
    }
}

named! {
    /// How urgent a task is, from least to most.
    #[derive(Default)]
    Priority {
        /// It can wait.
        Low = "low";
        /// The default.
        #[default]
        Normal = "normal";
        /// It comes before normal ones.
        High = "high";
        /// It comes before all others.
        Urgent = "urgent";
    }
}

impl Priority {
    /// Its rank from least to most urgent, from 0. Read models store it because they sort by it.
    pub const fn rank(self) -> i64 {
        match self {
            Self::Low => 0,
            Self::Normal => 1,
            Self::High => 2,
            Self::Urgent => 3,
        }
    }

    /// The priority of this rank, if there is one.
    pub fn ranked(rank: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|priority| priority.rank() == rank)
    }
}

/// The task was created, with the state open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCreated {
    /// The owner, who never changes.
    pub owner: UserId,
    /// 1 to 200 characters.
    pub title: String,
    /// Up to 10,000 characters.
    pub description: Option<String>,
    /// How urgent the task is.
    pub priority: Priority,
    /// When it is due.
    pub due: Option<Due>,
    /// Up to 20, in the order given.
    pub tags: Vec<String>,
}

/// The title changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRenamed {
    /// The new title.
    pub title: String,
}

/// The description changed or was cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDescribed {
    /// The new description; `None` clears it.
    pub description: Option<String>,
}

/// The priority changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPrioritized {
    /// The new priority.
    pub priority: Priority,
}

/// The due date changed or was cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskScheduled {
    /// The new due date; `None` clears it.
    pub due: Option<Due>,
}

/// The tags were replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTagged {
    /// All tags after the change, in order.
    pub tags: Vec<String>,
}

/// Work began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStarted {}

/// The task was finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCompleted {}

/// The task was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCancelled {}

/// The task is open again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReopened {}

/// The task went into the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDeleted {}

/// The task came back from the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRestored {}

/// The task was removed from the trash for good and has no owner any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPurged {}

/// The state of one task after some version of its stream. Rows of its history hold it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The id of the task.
    pub id: TaskId,
    /// The owner, who is never shown because only the owner can see the task. [`UserId::NOBODY`] once it was purged,
    /// and in a state that was read from JSON, which does not have it.
    #[serde(skip, default = "nobody")]
    pub owner: UserId,
    /// What is to be done.
    pub title: String,
    /// The description.
    pub description: Option<String>,
    /// The state.
    pub status: Status,
    /// How urgent it is.
    pub priority: Priority,
    /// When it is due.
    pub due: Option<Due>,
    /// In the order given.
    pub tags: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was completed; `None` while it is not.
    pub completed_at: Option<Timestamp>,
    /// When it was moved to the trash; `None` while it is not there.
    pub deleted_at: Option<Timestamp>,
    /// Version of its stream.
    pub version: u64,
}

const fn nobody() -> UserId {
    UserId::NOBODY
}

impl Aggregate for Task {
    type Id = TaskId;
    type Event = TaskEvent;

    fn stream(id: &TaskId) -> StreamName {
        StreamName::task(*id)
    }

    fn evolve(
        state: Option<Self>,
        id: &TaskId,
        event: &TaskEvent,
        version: u64,
        at: Timestamp,
    ) -> Option<Self> {
        let mut task = match (state, event) {
            // The events before it may have been dropped from the log.
            (_, TaskEvent::Purged(_)) => return Some(Self::purged(*id, version, at)),
            (None, TaskEvent::Created(created)) => return Some(Self::created(*id, created, version, at)),
            (None, _) => return None,
            (Some(task), _) => task,
        };
        match event {
            TaskEvent::Created(_) | TaskEvent::Purged(_) => {}
            TaskEvent::Renamed(renamed) => task.title.clone_from(&renamed.title),
            TaskEvent::Described(described) => task.description.clone_from(&described.description),
            TaskEvent::Prioritized(prioritized) => task.priority = prioritized.priority,
            TaskEvent::Scheduled(scheduled) => task.due = scheduled.due,
            TaskEvent::Tagged(tagged) => task.tags.clone_from(&tagged.tags),
            TaskEvent::Started(_) => task.move_to(Status::InProgress, None),
            TaskEvent::Completed(_) => task.move_to(Status::Done, Some(at)),
            TaskEvent::Cancelled(_) => task.move_to(Status::Cancelled, None),
            TaskEvent::Reopened(_) => task.move_to(Status::Open, None),
            TaskEvent::Deleted(_) => task.deleted_at = Some(at),
            TaskEvent::Restored(_) => task.deleted_at = None,
        }
        task.updated_at = at;
        task.version = version;
        Some(task)
    }
}

impl Task {
    /// The task before its first version, which is recorded at `created_at`.
    pub const fn blank(id: TaskId, created_at: Timestamp) -> Self {
        Self {
            id,
            owner: UserId::NOBODY,
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

    fn created(id: TaskId, created: &TaskCreated, version: u64, at: Timestamp) -> Self {
        Self {
            owner: created.owner,
            title: created.title.clone(),
            description: created.description.clone(),
            priority: created.priority,
            due: created.due,
            tags: created.tags.clone(),
            version,
            ..Self::blank(id, at)
        }
    }

    /// Keeps nothing of the earlier state, so that it does not matter whether the log still has it.
    fn purged(id: TaskId, version: u64, at: Timestamp) -> Self {
        Self {
            // Counts of unfinished tasks leave it out.
            status: Status::Cancelled,
            version,
            ..Self::blank(id, at)
        }
    }

    /// Whether it was removed from the trash for good.
    pub fn is_purged(&self) -> bool {
        self.owner == UserId::NOBODY
    }

    fn move_to(&mut self, status: Status, completed_at: Option<Timestamp>) {
        self.status = status;
        self.completed_at = completed_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_lead_back_and_agree_with_the_order() {
        for priority in Priority::ALL {
            assert_eq!(Priority::ranked(priority.rank()), Some(*priority));
        }
        assert!(Priority::ALL.is_sorted_by(|one, next| one < next && one.rank() < next.rank()));
        assert_eq!(Priority::ranked(4), None);
    }
}
