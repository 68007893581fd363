//! The tasks that commands touched last, so that the next command on one need not read its stream.
//!
//! An entry can be behind the store when another process appended. That is harmless: an append says which
//! version it expects, and what is told to a client without an append is decided on the store's own state.

use events::{Task, TaskId};
use moka::{future::Cache, ops::compute::Op};

use super::Outcome;

/// Memory for them, in bytes.
const CAPACITY: u64 = 128 * 1024 * 1024;
/// What a task takes besides its texts, roughly.
const OVERHEAD: usize = 512;

#[derive(Debug, Clone)]
pub(super) struct HotTasks(Cache<TaskId, Outcome>);

impl HotTasks {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|_, state: &Outcome| weight(&state.task))
                .build(),
        )
    }

    pub(super) async fn get(&self, task: TaskId) -> Option<Outcome> {
        self.0.get(&task).await
    }

    /// Remembers `state`, unless a later one is known.
    pub(super) async fn put(&self, state: Outcome) {
        let id = state.task.id;
        self.0
            .entry(id)
            .and_compute_with(|known| {
                let later = known.is_some_and(|known| known.value().task.version >= state.task.version);
                std::future::ready(if later { Op::Nop } else { Op::Put(state) })
            })
            .await;
    }

    pub(super) async fn forget(&self, task: TaskId) {
        self.0.invalidate(&task).await;
    }
}

fn weight(task: &Task) -> u32 {
    let tags: usize = task.tags.iter().map(String::len).sum();
    let description = task.description.as_ref().map_or(0, String::len);
    u32::try_from(OVERHEAD + task.title.len() + description + tags).unwrap_or(u32::MAX)
}
