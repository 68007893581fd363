//! The rules of task commands: pure decisions from a task's state to new events or a refusal.
//!
//! No `async`, no clock, no random number, no SQL and no HTTP here. To add a command, give it a file of its
//! own with its struct and its `decide`, a variant in `command.rs`, an arm in [`decide`], and a row in
//! `contract_tests.rs`.

mod cancel_task;
mod change_task;
mod command;
mod complete_task;
mod context;
mod create_task;
mod delete_task;
mod differences;
mod purge_task;
mod refusal;
mod reopen_task;
mod restore_task;
mod revert_task;
mod start_task;
mod transition;
mod undo_task;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod taking_back_tests;

pub(crate) use cancel_task::CancelTask;
pub(crate) use change_task::ChangeTask;
pub(crate) use command::Command;
pub(crate) use complete_task::CompleteTask;
pub(crate) use context::{Context, ExpectedVersion};
pub(crate) use create_task::CreateTask;
pub(crate) use delete_task::DeleteTask;
use events::{Task, TaskEvent};
pub(crate) use purge_task::purge;
pub(crate) use refusal::Refusal;
pub(crate) use reopen_task::ReopenTask;
pub(crate) use restore_task::RestoreTask;
pub(crate) use revert_task::RevertTask;
pub(crate) use start_task::StartTask;
pub(crate) use undo_task::UndoTask;

/// The events of `command` for a task in `state` (`None`: there is no such task). An empty list means that the task
/// already is as wanted.
///
/// The checks come in a fixed order: does this caller have such a task, is it at the expected version, does its
/// status allow the command.
///
/// # Errors
/// The [`Refusal`]. Then nothing happens, even if only one part of the command is refused.
pub(crate) fn decide(
    state: Option<&Task>,
    command: &Command,
    context: &Context,
) -> Result<Vec<TaskEvent>, Refusal> {
    match command {
        Command::Create(create) => create.decide(state, context),
        Command::Change(change) => change.decide(live_task(state, context)?),
        Command::Start(start) => start.decide(live_task(state, context)?),
        Command::Complete(complete) => complete.decide(live_task(state, context)?),
        Command::Cancel(cancel) => cancel.decide(live_task(state, context)?),
        Command::Reopen(reopen) => reopen.decide(live_task(state, context)?),
        Command::Delete(delete) => Ok(delete.decide(any_task(state, context)?)),
        Command::Revert(revert) => revert.decide(live_task(state, context)?),
        Command::Restore(restore) => Ok(restore.decide(any_task(state, context)?)),
        Command::Undo(undo) => undo.decide(any_task(state, context)?),
    }
}

/// The caller's task, unless it is in the trash.
fn live_task<'a>(state: Option<&'a Task>, context: &Context) -> Result<&'a Task, Refusal> {
    let task = owned_task(state, context)?;
    if task.deleted_at.is_some() {
        return Err(Refusal::TaskIsDeleted { id: context.task });
    }
    at_expected_version(task, context)
}

/// The caller's task, also from the trash.
fn any_task<'a>(state: Option<&'a Task>, context: &Context) -> Result<&'a Task, Refusal> {
    at_expected_version(owned_task(state, context)?, context)
}

fn owned_task<'a>(state: Option<&'a Task>, context: &Context) -> Result<&'a Task, Refusal> {
    let task = state.ok_or(Refusal::TaskNotFound { id: context.task })?;
    if task.owner == context.caller {
        Ok(task)
    } else {
        Err(Refusal::NotOwner { id: context.task, owner: task.owner })
    }
}

fn at_expected_version<'a>(task: &'a Task, context: &Context) -> Result<&'a Task, Refusal> {
    if context.expected.allows(task.version) {
        Ok(task)
    } else {
        Err(Refusal::VersionMismatch { actual: task.version })
    }
}
