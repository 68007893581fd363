//! Commands that fight over a task take turns from their first conflict on, so that each conflict lets one of them through.

use std::time::Duration;

use aggregate::pause_after_conflict;
use events::TaskId;
use runtime::{Turn, Turns};

use super::CommandError;

/// The most commands that may fight over a task at once.
const CONTENDERS: usize = 1_024;
/// How long a command waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those who fight over tasks.
pub(super) struct Contenders(Turns<TaskId>);

/// One command in its fight over a task.
pub(super) struct Contest<'a> {
    contenders: &'a Contenders,
    task: TaskId,
    turn: Option<Turn<TaskId>>,
}

impl Contenders {
    pub(super) fn new() -> Self {
        Self(Turns::new(1, CONTENDERS))
    }
}

impl<'a> Contest<'a> {
    /// One that has met no conflict yet.
    pub(super) fn new(contenders: &'a Contenders, task: TaskId) -> Self {
        Self {
            contenders,
            task,
            turn: None,
        }
    }

    /// Waits for its turn after the conflict of attempt `attempt`, or a moment if it has its turn: then the conflict was with
    /// another process.
    pub(super) async fn wait(&mut self, attempt: u32) -> Result<(), CommandError> {
        if self.turn.is_some() {
            pause_after_conflict(attempt).await;
            return Ok(());
        }
        let taken = self.contenders.0.take(self.task, PATIENCE).await;
        self.turn = Some(taken.map_err(|_| CommandError::Contended { attempts: attempt })?);
        Ok(())
    }
}
