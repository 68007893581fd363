//! The answer to a request as it is kept, to be given again: what became of its commands, without the texts of tasks.
//! A few hundred bytes for each state of a task that it shows, and some tens for each command.

use std::collections::{BTreeMap, HashMap};

use events::{ConsistencyToken, TaskId};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{CommandError, CommandHandler, KeptTask, TaskState};
use crate::domain::Refusal;

/// The most tasks that are read at once.
const AT_ONCE: usize = 8;

/// What became of a command for good: another try would change nothing.
#[derive(Debug, Clone)]
pub enum CommandResult {
    /// It was accepted, and left the task so.
    Accepted(TaskState),
    /// The business said no.
    Refused {
        refusal: Refusal,
        /// The state that it was refused on; `None` when the caller must not learn of any.
        seen: Option<ConsistencyToken>,
    },
    /// It was no command. The request itself says what is wrong with it.
    Invalid,
}

/// What is kept of the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The id of the request that was answered, which problems name.
    request_id: String,
    /// Each state that is shown, once.
    tasks: Vec<KeptTask>,
    /// By the place of the command in the request.
    results: BTreeMap<usize, KeptResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptResult {
    /// The place of the state in `tasks`.
    Accepted(usize),
    /// Why, and the state that it was refused on.
    Refused(Refusal, Option<ConsistencyToken>),
    Invalid,
}

impl KeptAnswer {
    /// What is kept of the answer to the request `request_id`, in which `results` became of the commands.
    pub fn of<'a>(request_id: &str, results: impl IntoIterator<Item = (usize, &'a CommandResult)>) -> Self {
        let mut tasks = Vec::new();
        let mut places: HashMap<(TaskId, u64), usize> = HashMap::new();
        let mut keep = |result: &CommandResult| match result {
            CommandResult::Accepted(state) => {
                let place = places
                    .entry((state.task.id, state.end.version))
                    .or_insert_with(|| {
                        tasks.push(KeptTask::of(state));
                        tasks.len() - 1
                    });
                KeptResult::Accepted(*place)
            }
            CommandResult::Refused { refusal, seen } => KeptResult::Refused(*refusal, *seen),
            CommandResult::Invalid => KeptResult::Invalid,
        };
        let results = results
            .into_iter()
            .map(|(place, result)| (place, keep(result)))
            .collect();
        Self {
            request_id: request_id.to_owned(),
            tasks,
            results,
        }
    }

    /// The id of the request that was answered.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}

impl CommandHandler {
    /// What became of the commands, by their places. Nothing if the log does not hold the tasks' states,
    /// because it was restored to an earlier time: then the commands have no effect any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recall(
        &self,
        kept: &KeptAnswer,
    ) -> Result<Option<BTreeMap<usize, CommandResult>>, CommandError> {
        let reads: Vec<_> = kept.tasks.iter().map(|task| self.states.restore(task)).collect();
        let states: Vec<Option<TaskState>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        let recall = |result: &KeptResult| {
            Some(match result {
                KeptResult::Accepted(place) => CommandResult::Accepted(states.get(*place)?.clone()?),
                KeptResult::Refused(refusal, seen) => CommandResult::Refused {
                    refusal: *refusal,
                    seen: *seen,
                },
                KeptResult::Invalid => CommandResult::Invalid,
            })
        };
        let results = kept.results.iter();
        Ok(results
            .map(|(place, result)| Some((*place, recall(result)?)))
            .collect())
    }
}
