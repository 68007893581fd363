//! After a conflict, commands on the same task wait for each other in a queue, so that each conflict lets one of them
//! through.

use aggregate::{Conflicts, GivenUp};
use events::TaskId;
use runtime::{KeyedPermit, KeyedSemaphore};

use super::CommandError;

/// The most commands that may queue for one task.
const CONTENDERS: usize = 1_024;

/// The queues of all tasks.
pub(super) struct ConflictQueue(KeyedSemaphore<TaskId>);

/// One command in the queue of its task.
pub(super) struct QueuedCommand<'a> {
    contenders: &'a ConflictQueue,
    task: TaskId,
    turn: Option<KeyedPermit<TaskId>>,
    conflicts: Conflicts,
}

impl ConflictQueue {
    pub(super) fn new() -> Self {
        Self(KeyedSemaphore::new(1, CONTENDERS))
    }
}

impl<'a> QueuedCommand<'a> {
    /// A command without a conflict so far.
    pub(super) fn new(contenders: &'a ConflictQueue, task: TaskId) -> Self {
        Self { contenders, task, turn: None, conflicts: Conflicts::default() }
    }

    /// Waits for its turn after a conflict. If it has its turn already, the conflict was with another process, and it
    /// waits a moment.
    ///
    /// # Errors
    /// [`CommandError::Contended`] when that has taken too long.
    pub(super) async fn wait(&mut self) -> Result<(), CommandError> {
        let left = self.conflicts.meet().map_err(contended)?;
        if self.turn.is_some() {
            self.conflicts.pause().await;
            return Ok(());
        }
        let taken = self.contenders.0.take(self.task, left).await;
        self.turn = Some(taken.map_err(|_| contended(self.conflicts.given_up()))?);
        Ok(())
    }
}

fn contended(GivenUp { conflicts }: GivenUp) -> CommandError {
    CommandError::Contended { conflicts }
}
