//! After a conflict, commands on the same task wait for each other in a queue, so that each conflict lets one of them through.

use aggregate::{Conflicts, GivenUp};
use events::TaskId;
use runtime::{KeyedPermit, KeyedSemaphore};

use super::CommandError;

/// The most commands that may fight over a task at once.
const CONTENDERS: usize = 1_024;

/// Those who fight over tasks.
pub(super) struct ConflictQueue(KeyedSemaphore<TaskId>);

/// One command in its fight over a task.
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
    /// One that has met no conflict yet.
    pub(super) fn new(contenders: &'a ConflictQueue, task: TaskId) -> Self {
        Self {
            contenders,
            task,
            turn: None,
            conflicts: Conflicts::default(),
        }
    }

    /// Waits for its turn after a conflict, or a moment if it has its turn: then the conflict was with another process, which may
    /// be faster many times in a row.
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
