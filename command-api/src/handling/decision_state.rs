//! The state that the next decision about a task rests on: what is in memory, what came after a conflict, or what the stream says,
//! where an earlier try may have decided already.

use super::{
    CommandError, CommandRequest, Executed,
    earlier_try::{self, Found},
    task_state::LoadedTask,
    task_states::TaskStates,
};
use crate::domain::Command;

/// What the next decision rests on.
pub(super) struct DecisionState {
    pub(super) task: LoadedTask,
    /// Whether it is the state of now, not just one in memory.
    pub(super) fresh: bool,
}

/// What a look at the stream has found.
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

/// A state that needs no look at the store.
pub(super) async fn remembered(states: &TaskStates, request: &CommandRequest) -> Option<DecisionState> {
    let known = match &request.command {
        // A new id: nothing can be there.
        Command::Create(_) => LoadedTask::default().into(),
        _ => DecisionState {
            task: states.remembered(request.task)?,
            fresh: false,
        },
    };
    // What another try of this command did may be in memory already. Only the stream tells.
    request.is_alone().then_some(known)
}

/// The task now, unless an earlier try has decided. Those are looked for if `search` says so, or if there may be any by the
/// time the state is known.
pub(super) async fn read(
    states: &TaskStates,
    request: &CommandRequest,
    search: bool,
) -> Result<Read, CommandError> {
    let key = request.origin.idempotency_key.as_ref();
    let current = if search {
        None
    } else {
        Some(states.tasks.load(&request.task).await?)
    };
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

/// The task after an append on `known` met version `actual`, in one read of what came since. A longer pass looks for an
/// earlier try of a command with a key, and for a task that was not there.
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
