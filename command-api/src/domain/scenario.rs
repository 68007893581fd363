//! Tests of decisions in the form `given([events]).when(command).then([events])`.

use aggregate::testing::{self, When};
use events::{Priority, Status, Task, TaskCreated, TaskEvent, TaskId, Title, UserId};
use uuid::Uuid;

use super::{Command, Context, ExpectedVersion, Refusal, RevertTask, decide};

pub(super) const TASK: TaskId = TaskId(Uuid::from_u128(1));
pub(super) const OWNER: UserId = UserId(Uuid::from_u128(2));
pub(super) const STRANGER: UserId = UserId(Uuid::from_u128(3));
pub(super) const STATUSES: [Status; 4] = [Status::Open, Status::InProgress, Status::Done, Status::Cancelled];

/// A simple creation.
pub(super) fn created() -> TaskEvent {
    TaskCreated {
        owner: OWNER,
        title: "Buy milk".into(),
        description: None,
        priority: Priority::Normal,
        due: None,
        tags: vec![],
    }
    .into()
}

pub(super) fn title(text: &str) -> Title {
    Title::parse(text).unwrap()
}

/// A history that ends in `status`.
pub(super) fn history_to(status: Status) -> Vec<TaskEvent> {
    let last: Option<TaskEvent> = match status {
        Status::Open => None,
        Status::InProgress => Some(events::TaskStarted {}.into()),
        Status::Done => Some(events::TaskCompleted {}.into()),
        Status::Cancelled => Some(events::TaskCancelled {}.into()),
    };
    std::iter::once(created()).chain(last).collect()
}

/// The state after `history`, with one event each second.
pub(super) fn fold(history: &[TaskEvent]) -> Option<Task> {
    testing::given::<Task>(TASK, history.iter().cloned()).state().cloned()
}

pub(super) fn given(history: impl Into<Vec<TaskEvent>>) -> Given {
    Given { history: history.into(), caller: OWNER, expected: ExpectedVersion::Any }
}

pub(super) struct Given {
    history: Vec<TaskEvent>,
    caller: UserId,
    expected: ExpectedVersion,
}

impl Given {
    pub(super) fn asked_by(self, caller: UserId) -> Self {
        Self { caller, ..self }
    }

    pub(super) fn if_match(self, versions: &[u64]) -> Self {
        Self { expected: ExpectedVersion::OneOf(versions.to_vec()), ..self }
    }

    pub(super) fn when(self, command: impl Into<Command>) -> When<TaskEvent, Refusal> {
        let context = Context { task: TASK, caller: self.caller, expected: self.expected };
        let command = command.into();
        testing::given::<Task>(TASK, self.history)
            .when(|task: Option<&Task>| decide(task, &command, &context))
    }
}

/// A command to bring the task back to the end of this history.
pub(super) fn revert_to(history: &[TaskEvent]) -> RevertTask {
    RevertTask { to_version: history.len() as u64, was: fold(history).map(Box::new) }
}
