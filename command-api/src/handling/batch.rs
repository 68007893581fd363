//! Runs the commands of a batch: concurrently for different tasks, in order for the same task.

use std::collections::HashMap;

use events::TaskId;
use futures::future::join_all;

use super::{
    CommandError, CommandHandler, CommandRequest, Executed,
    turns::{Turn, Turns},
};

impl CommandHandler {
    /// Runs `requests`, each on its own, and returns the result of each, in their order.
    ///
    /// Commands on one task run one after another. Commands on different tasks run concurrently, so that the store
    /// can append their events together; those that are the first on their tasks are appended in their order. If the
    /// result of a command is unknown, later ones on its task are not tried: they are `CommandError::HeldUp`.
    pub async fn handle_all(&self, requests: &[CommandRequest]) -> Vec<Result<Executed, CommandError>> {
        let chains = chains(requests);
        let turns = Turns::new(chains.len());
        let running = chains
            .iter()
            .enumerate()
            .map(|(number, chain)| self.handle_chain(requests, chain, turns.turn(number)));
        let done = join_all(running).await;
        let mut done: Vec<_> = done.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// Runs the requests with the indexes in `chain`, all on one task. The first one appends in its `turn`.
    async fn handle_chain(
        &self,
        requests: &[CommandRequest],
        chain: &[usize],
        turn: Turn<'_>,
    ) -> Vec<(usize, Result<Executed, CommandError>)> {
        let mut results = Vec::with_capacity(chain.len());
        let (mut held_up, mut turn) = (false, Some(turn));
        for &index in chain {
            let result = if held_up {
                let result = Err(CommandError::HeldUp);
                self.metrics.count(&requests[index].command, &result);
                result
            } else {
                self.handle_in_turn(&requests[index], turn.take()).await
            };
            held_up = result.as_ref().is_err_and(CommandError::is_failure);
            results.push((index, result));
        }
        results
    }
}

/// The indexes of the requests on each task, in the order of each task's first request.
fn chains(requests: &[CommandRequest]) -> Vec<Vec<usize>> {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    let mut chain_of: HashMap<TaskId, usize> = HashMap::new();
    for (index, request) in requests.iter().enumerate() {
        let chain = *chain_of.entry(request.task).or_insert(chains.len());
        match chains.get_mut(chain) {
            Some(places) => places.push(index),
            None => chains.push(vec![index]),
        }
    }
    chains
}
