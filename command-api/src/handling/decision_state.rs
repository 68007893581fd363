//! The state for the next decision about a task: from memory, from the events after a conflict, or from the stream,
//! which may show that an earlier try has decided already.

use super::{
    CommandError, CommandRequest, Executed,
    earlier_try::{self, Found},
    task_state::LoadedTask,
    task_states::TaskStates,
};
use crate::domain::Command;

pub(super) struct DecisionState {
    pub(super) task: LoadedTask,
    /// Whether it is the current state, not only one from memory.
    pub(super) fresh: bool,
}

/// The result of reading the stream.
pub(super) enum Read {
    State(DecisionState),
    /// An earlier try has decided.
    Decided(Executed),
}

impl From<LoadedTask> for DecisionState {
    fn from(task: LoadedTask) -> Self {
        Self { task, fresh: true }
    }
}

/// A state that needs no read of the store.
pub(super) async fn remembered(states: &TaskStates, request: &CommandRequest) -> Option<DecisionState> {
    let known = match &request.command {
        // A new id: no task can have it.
        Command::Create(_) => LoadedTask::default().into(),
        _ => DecisionState { task: states.remembered(request.task)?, fresh: false },
    };
    // The state in memory may include the effect of another try of this command. Only the stream shows that.
    request.is_alone().then_some(known)
}

/// The current task, unless an earlier try has decided. Earlier tries are searched for if `search` is set, or if
/// there may be any by the time the state is known.
pub(super) async fn read(
    states: &TaskStates,
    request: &CommandRequest,
    search: bool,
) -> Result<Read, CommandError> {
    let key = request.origin.idempotency_key.as_ref();
    let current = if search { None } else { Some(states.tasks.load(&request.task).await?) };
    let current = match (key, current) {
        (Some(_), Some(current)) if request.is_alone() => current,
        (Some(key), _) => match earlier_try::find(states, request, key).await? {
            Found::Decided(result) => return result.map(Read::Decided),
            Found::Nothing(current) => current,
        },
        (None, Some(current)) => current,
        (None, None) => states.tasks.load(&request.task).await?,
    };
    Ok(Read::State(current.into()))
}

/// The task after an append on `known` met version `actual`, with one read of the later events. For a command with a
/// key, or a task that did not exist, the stream is searched for an earlier try.
pub(super) async fn after_conflict(
    states: &TaskStates,
    request: &CommandRequest,
    known: DecisionState,
    actual: u64,
) -> Result<Read, CommandError> {
    let (tasks, task) = (&states.tasks, &request.task);
    let current = match &request.origin.idempotency_key {
        None => tasks.after_conflict(task, known.task, actual).await?,
        Some(_) => None,
    };
    match current {
        Some(current) => Ok(Read::State(current.into())),
        None => {
            tasks.forget(task);
            read(states, request, true).await
        }
    }
}
