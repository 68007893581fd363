//! Finds the effect of an earlier try of a command, in one pass over the events of the task since the first try.

use std::ops::ControlFlow;

use events::RecordedEvent;

use super::{
    CommandError, CommandRequest, Executed, IdempotencyKey, TaskState, task_state::LoadedTask,
    task_states::TaskStates,
};
use crate::domain::{Refusal, decide};

pub(super) enum Found {
    /// An earlier try has decided the command.
    Decided(Result<Executed, CommandError>),
    /// No earlier try had an effect; the current task.
    Nothing(LoadedTask),
}

struct Search<'a> {
    request: &'a CommandRequest,
    key: &'a IdempotencyKey,
    /// The task after the last event of the command itself.
    effect: Option<TaskState>,
    /// Whether there are events of a later command in the same batch. The commands of a batch on one task run in
    /// order, so this one was done before.
    is_overtaken: bool,
    /// The answer of an earlier try without effect: the answer on the last state on which the command has none.
    without_effect: Option<Result<TaskState, CommandError>>,
}

/// Looks for earlier tries of `request`, which has the key `key`.
pub(super) async fn find(
    states: &TaskStates,
    request: &CommandRequest,
    key: &IdempotencyKey,
) -> Result<Found, CommandError> {
    let from = match &request.tries.since {
        Some(kept) => states.restore(kept).await?,
        None => None,
    };
    let mut search = Search { request, key, effect: None, is_overtaken: false, without_effect: None };
    if let Some(state) = &from {
        search.consider(state);
    }
    let from = from.map(LoadedTask::from).unwrap_or_default();
    let step = |event: &_, now: &_| search.step(event, now);
    let last = states.tasks.fold(&request.task, from, step).await?;
    let decided = if let Some(state) = search.effect {
        Ok(Executed { state, changed: true })
    } else if search.is_overtaken {
        match search.without_effect {
            Some(said) => said.map(|state| Executed { state, changed: false }),
            None => Err(not_found(request)),
        }
    } else {
        states.tasks.remember(&request.task, &last);
        return Ok(Found::Nothing(last));
    };
    Ok(Found::Decided(decided))
}

pub(super) fn not_found(request: &CommandRequest) -> CommandError {
    CommandError::refused(Refusal::TaskNotFound { id: request.task }, None)
}

impl Search<'_> {
    fn step(&mut self, event: &RecordedEvent, now: &LoadedTask) -> ControlFlow<()> {
        let is_theirs = event.metadata.actor.person() == Some(self.request.origin.caller);
        let theirs = event.metadata.idempotency_key.as_deref().filter(|_| is_theirs);
        match theirs {
            Some(key) if key == self.key.as_str() => self.effect = TaskState::of(now),
            // A command leaves all its events in one append.
            _ if self.effect.is_some() => return ControlFlow::Break(()),
            Some(later) if self.key.comes_before(later) => {
                self.is_overtaken = true;
                return ControlFlow::Break(());
            }
            Some(_) | None => {
                if let Some(state) = TaskState::of(now) {
                    self.consider(&state);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Records the answer on `state`, if the command has no effect there. Only a command of a batch can be overtaken.
    fn consider(&mut self, state: &TaskState) {
        if !self.key.is_of_batch() {
            return;
        }
        match decide(Some(&state.task), &self.request.command, &self.request.context()) {
            Ok(events) if events.is_empty() => self.without_effect = Some(Ok(state.clone())),
            Ok(_) => {}
            Err(refusal) => {
                self.without_effect = Some(Err(CommandError::refused(refusal, Some(state))));
            }
        }
    }
}
