//! The tasks that commands touched last, so that the next command on one need not read its stream.
//!
//! An entry can be behind the store when another process appended. That is harmless: an append says which version it
//! expects, and whatever is told to a client without an append is decided on a state whose stream still ended there. All
//! are thrown away when the log turns out to be another.

use events::{Task, TaskId};
use moka::{future::Cache, ops::compute::Op, policy::EvictionPolicy};

use super::TaskState;

/// Memory for them, in bytes, used as they come.
const CAPACITY: u64 = 16 << 20;
/// What a task takes besides its texts, roughly.
const OVERHEAD: usize = 768;

#[derive(Debug, Clone)]
pub(super) struct HotTasks(Cache<TaskId, TaskState>);

impl HotTasks {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY)
                // The default policy declines newcomers when it is full, and a task is changed soon after it was created.
                .eviction_policy(EvictionPolicy::lru())
                .weigher(|_, state: &TaskState| weight(&state.task))
                .build(),
        )
    }

    pub(super) async fn get(&self, task: TaskId) -> Option<TaskState> {
        self.0.get(&task).await
    }

    /// Remembers `state`, unless a later one is known.
    pub(super) async fn put(&self, state: TaskState) {
        let id = state.task.id;
        self.0
            .entry(id)
            .and_compute_with(|known| {
                let later = known.is_some_and(|known| known.value().end.version >= state.end.version);
                std::future::ready(if later { Op::Nop } else { Op::Put(state) })
            })
            .await;
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }

    pub(super) async fn forget(&self, task: TaskId) {
        self.0.invalidate(&task).await;
    }
}

fn weight(task: &Task) -> u32 {
    let tags: usize = task.tags.iter().map(|tag| size_of::<String>() + tag.len()).sum();
    let description = task.description.as_ref().map_or(0, String::len);
    u32::try_from(OVERHEAD + task.title.len() + description + tags).unwrap_or(u32::MAX)
}
