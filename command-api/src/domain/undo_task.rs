//! Takes back what some events of a task did.

use events::{
    Due, Priority, Status, Task, TaskDeleted, TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed,
    TaskRestored, TaskScheduled, TaskTagged,
};

use super::{Refusal, revert_task::way_to};

/// Take back what the noted events did: each field that they changed is to be again as it was before the first of them. What
/// is so already stays, so that an undo that is repeated changes nothing. A field that somebody changed since is not theirs to
/// take back: then nothing of the task is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UndoTask {
    /// The task as they made it, if they made it.
    created: Option<Box<Task>>,
    title: Option<Change<String>>,
    description: Option<Change<Option<String>>>,
    priority: Option<Change<Priority>>,
    due: Option<Change<Option<Due>>>,
    tags: Option<Change<Vec<String>>>,
    status: Option<Change<Status>>,
    deleted: Option<Change<bool>>,
}

/// What a field was before the first of the events, and what it was after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change<T> {
    from: T,
    to: T,
}

impl UndoTask {
    /// Notes the next event that is to be taken back: the task `before` it, if there was one, and `after` it.
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
            // In the trash a task is as it is.
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

/// What a field that is `now` so has to become, if it has to.
fn back<T: Clone + PartialEq>(change: Option<&Change<T>>, now: &T) -> Result<Option<T>, Refusal> {
    match change {
        Some(change) if *now == change.from || change.from == change.to => Ok(None),
        Some(change) if *now == change.to => Ok(Some(change.from.clone())),
        Some(_) => Err(Refusal::ChangedSince),
        None => Ok(None),
    }
}

/// Whether all that people can change of `task` is as it was in `other`, which was not in the trash.
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
