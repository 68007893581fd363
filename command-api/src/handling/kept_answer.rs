//! The stored form of an answer: the results of the commands, without the texts of tasks. It takes a few hundred
//! bytes for each state of a task in it, and about ten for each command.

use std::collections::{BTreeMap, HashMap};

use events::{ConsistencyToken, TaskId};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{CommandError, CommandHandler, KeptTask, TaskState};
use crate::domain::Refusal;

/// The most tasks that are read at once.
const AT_ONCE: usize = 8;

/// The final result of a command: another try would not change it.
#[derive(Debug, Clone)]
pub enum CommandResult {
    /// It was accepted, with this state of the task.
    Accepted(TaskState),
    /// The rules refuse it.
    Refused {
        refusal: Refusal,
        /// The state that it was refused on; `None` when the caller must not know it.
        seen: Option<ConsistencyToken>,
    },
    /// It was not a valid command. The request itself shows why.
    Invalid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The id of the answered request, for the problems in it.
    request_id: String,
    /// Each state in the answer, once.
    tasks: Vec<KeptTask>,
    /// By the index of the command in the request.
    results: BTreeMap<usize, KeptResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptResult {
    /// The index of the state in `tasks`.
    Accepted(usize),
    /// The refusal, and the state that it was refused on.
    Refused(Refusal, Option<ConsistencyToken>),
    Invalid,
}

impl KeptAnswer {
    /// The stored form of the answer with `results` to the request `request_id`.
    pub fn of<'a>(request_id: &str, results: impl IntoIterator<Item = (usize, &'a CommandResult)>) -> Self {
        let mut tasks = Vec::new();
        let mut places: HashMap<(TaskId, u64), usize> = HashMap::new();
        let mut keep = |result: &CommandResult| match result {
            CommandResult::Accepted(state) => {
                let place = places.entry((state.task.id, state.end.version)).or_insert_with(|| {
                    tasks.push(KeptTask::of(state));
                    tasks.len() - 1
                });
                KeptResult::Accepted(*place)
            }
            CommandResult::Refused { refusal, seen } => KeptResult::Refused(*refusal, *seen),
            CommandResult::Invalid => KeptResult::Invalid,
        };
        let results = results.into_iter().map(|(place, result)| (place, keep(result))).collect();
        Self { request_id: request_id.to_owned(), tasks, results }
    }

    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}

impl CommandHandler {
    /// The results of the commands, by their indexes. `None` if the log does not have the states of the tasks,
    /// because it was restored to an earlier time and lost the effects.
    pub async fn recall(
        &self,
        kept: &KeptAnswer,
    ) -> Result<Option<BTreeMap<usize, CommandResult>>, CommandError> {
        let reads: Vec<_> = kept.tasks.iter().map(|task| self.states.restore(task)).collect();
        let states: Vec<Option<TaskState>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        let recall = |result: &KeptResult| {
            Some(match result {
                KeptResult::Accepted(place) => CommandResult::Accepted(states.get(*place)?.clone()?),
                KeptResult::Refused(refusal, seen) => {
                    CommandResult::Refused { refusal: *refusal, seen: *seen }
                }
                KeptResult::Invalid => CommandResult::Invalid,
            })
        };
        let results = kept.results.iter();
        Ok(results.map(|(place, result)| Some((*place, recall(result)?))).collect())
    }
}
