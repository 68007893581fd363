//! Undoes some events of a task.

use events::{Due, Priority, Status, Task, TaskDeleted, TaskEvent, TaskRestored};

use super::{Refusal, differences::differences, revert_task::way_to};

/// Undo the noted events: each field that they changed becomes what it was before the first of them. Fields that
/// already are so stay, so that a repeated undo changes nothing. If a field was changed again since, nothing of the
/// task is undone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UndoTask {
    /// The task as the events left it, if they created it. What others changed meanwhile is not in it.
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
        if let Some(created) = &mut self.created {
            follow(&mut created.title, &before.title, &after.title);
            follow(&mut created.description, &before.description, &after.description);
            follow(&mut created.priority, &before.priority, &after.priority);
            follow(&mut created.due, &before.due, &after.due);
            follow(&mut created.tags, &before.tags, &after.tags);
            follow(&mut created.status, &before.status, &after.status);
            return;
        }
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
            let is_as_left = task.status == created.status && differences(task, created).is_empty();
            return match is_deleted {
                true => Ok(Vec::new()),
                false if is_as_left => Ok(vec![TaskDeleted {}.into()]),
                false => Err(Refusal::ChangedSince),
            };
        }
        let mut wants_deleted = is_deleted;
        put_back(self.deleted.as_ref(), &mut wants_deleted)?;
        let fields = self.put_fields_back(task);
        // The fields of a task in the trash cannot be changed, whether or not they were changed since.
        if is_deleted && wants_deleted && !fields.as_ref().is_ok_and(Vec::is_empty) {
            return Err(Refusal::TaskIsDeleted { id: task.id });
        }
        let mut events = fields?;
        match (is_deleted, wants_deleted) {
            (true, false) => events.insert(0, TaskRestored {}.into()),
            (false, true) => events.push(TaskDeleted {}.into()),
            _ => {}
        }
        Ok(events)
    }

    /// The events that make all fields what they were before.
    fn put_fields_back(&self, task: &Task) -> Result<Vec<TaskEvent>, Refusal> {
        let mut wanted = task.clone();
        put_back(self.title.as_ref(), &mut wanted.title)?;
        put_back(self.description.as_ref(), &mut wanted.description)?;
        put_back(self.priority.as_ref(), &mut wanted.priority)?;
        put_back(self.due.as_ref(), &mut wanted.due)?;
        put_back(self.tags.as_ref(), &mut wanted.tags)?;
        put_back(self.status.as_ref(), &mut wanted.status)?;
        let mut events = differences(task, &wanted);
        events.extend(way_to(task, wanted.status)?);
        Ok(events)
    }
}

fn note<T: Clone + PartialEq>(change: &mut Option<Change<T>>, before: &T, after: &T) {
    if before == after {
        return;
    }
    match change {
        Some(change) => change.to = after.clone(),
        None => {
            *change = Some(Change { from: before.clone(), to: after.clone() });
        }
    }
}

/// Changes a field of a created task as the event did.
fn follow<T: Clone + PartialEq>(field: &mut T, before: &T, after: &T) {
    if before != after {
        field.clone_from(after);
    }
}

/// Sets a field that is `now` back to what it was before the `change`.
fn put_back<T: Clone + PartialEq>(change: Option<&Change<T>>, now: &mut T) -> Result<(), Refusal> {
    match change {
        Some(change) if *now == change.from || change.from == change.to => {}
        Some(change) if *now == change.to => now.clone_from(&change.from),
        Some(_) => return Err(Refusal::ChangedSince),
        None => {}
    }
    Ok(())
}
