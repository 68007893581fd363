//! Undoes some events of a task.

use events::{
    Due, Priority, Status, Task, TaskDeleted, TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed,
    TaskRestored, TaskScheduled, TaskTagged,
};

use super::{Refusal, revert_task::way_to};

/// Undo the noted events: each field that they changed becomes what it was before the first of them. Fields that
/// already are so stay, so that a repeated undo changes nothing. If a field was changed again since, nothing of the
/// task is undone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UndoTask {
    /// The task as the events created it, if they did.
    created: Option<Box<Task>>,
    title: Option<Change<String>>,
    description: Option<Change<Option<String>>>,
    priority: Option<Change<Priority>>,
    due: Option<Change<Option<Due>>>,
    tags: Option<Change<Vec<String>>>,
    status: Option<Change<Status>>,
    deleted: Option<Change<bool>>,
}

/// The value of a field before the first of the events, and after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change<T> {
    from: T,
    to: T,
}

impl UndoTask {
    /// Adds the next event to undo: the task `before` it, if it existed, and `after` it.
    pub fn note(&mut self, before: Option<&Task>, after: &Task) {
        let Some(before) = before else {
            self.created = Some(Box::new(after.clone()));
            return;
        };
        let deleted = |task: &Task| task.deleted_at.is_some();
        note(&mut self.title, &before.title, &after.title);
        note(&mut self.description, &before.description, &after.description);
        note(&mut self.priority, &before.priority, &after.priority);
        note(&mut self.due, &before.due, &after.due);
        note(&mut self.tags, &before.tags, &after.tags);
        note(&mut self.status, &before.status, &after.status);
        note(&mut self.deleted, &deleted(before), &deleted(after));
    }

    pub(super) fn decide(&self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        let is_deleted = task.deleted_at.is_some();
        if let Some(created) = &self.created {
            return match is_deleted {
                true => Ok(Vec::new()),
                false if is_as(task, created) => Ok(vec![TaskDeleted {}.into()]),
                false => Err(Refusal::ChangedSince),
            };
        }
        let mut fields: Vec<TaskEvent> = Vec::new();
        if let Some(title) = back(self.title.as_ref(), &task.title)? {
            fields.push(TaskRenamed { title }.into());
        }
        if let Some(description) = back(self.description.as_ref(), &task.description)? {
            fields.push(TaskDescribed { description }.into());
        }
        if let Some(priority) = back(self.priority.as_ref(), &task.priority)? {
            fields.push(TaskPrioritized { priority }.into());
        }
        if let Some(due) = back(self.due.as_ref(), &task.due)? {
            fields.push(TaskScheduled { due }.into());
        }
        if let Some(tags) = back(self.tags.as_ref(), &task.tags)? {
            fields.push(TaskTagged { tags }.into());
        }
        if let Some(status) = back(self.status.as_ref(), &task.status)? {
            fields.extend(way_to(task, status)?);
        }
        match back(self.deleted.as_ref(), &is_deleted)? {
            Some(false) => fields.insert(0, TaskRestored {}.into()),
            Some(true) => fields.push(TaskDeleted {}.into()),
            // The fields of a task in the trash cannot be changed.
            None if is_deleted && !fields.is_empty() => return Err(Refusal::TaskIsDeleted { id: task.id }),
            None => {}
        }
        Ok(fields)
    }
}

fn note<T: Clone + PartialEq>(change: &mut Option<Change<T>>, before: &T, after: &T) {
    if before == after {
        return;
    }
    match change {
        Some(change) => change.to = after.clone(),
        None => {
            *change = Some(Change {
                from: before.clone(),
                to: after.clone(),
            });
        }
    }
}

/// The value to which a field that is `now` must be set back; `None` if it stays.
fn back<T: Clone + PartialEq>(change: Option<&Change<T>>, now: &T) -> Result<Option<T>, Refusal> {
    match change {
        Some(change) if *now == change.from || change.from == change.to => Ok(None),
        Some(change) if *now == change.to => Ok(Some(change.from.clone())),
        Some(_) => Err(Refusal::ChangedSince),
        None => Ok(None),
    }
}

/// Whether all fields that people can change are equal in `task` and `other`, which was not in the trash.
fn is_as(task: &Task, other: &Task) -> bool {
    let fields = |task: &Task| {
        let Task {
            title,
            description,
            priority,
            due,
            tags,
            status,
            ..
        } = task.clone();
        (title, description, priority, due, tags, status)
    };
    fields(task) == fields(other)
}
