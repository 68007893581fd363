//! The tasks that commands touched last, so that the next command on one need not read its stream.
//!
//! An entry can be behind the store when another process appended. That is harmless: an append says which version it
//! expects, and whatever is told to a client without an append is decided on a state whose stream still ended there. All
//! are thrown away when the log turns out to be another.

use aggregate::StateCache;
use events::TaskId;

use super::TaskState;

/// Memory for them, in bytes, used as they come.
const CAPACITY: u64 = 16 << 20;
/// What a task takes besides its texts and its entry, roughly.
const OVERHEAD: usize = 512;

pub(super) type TaskCache = StateCache<TaskId, TaskState>;

pub(super) fn task_cache() -> TaskCache {
    StateCache::new(CAPACITY, bytes, |state| state.end.version)
}

fn bytes(TaskState { task, .. }: &TaskState) -> usize {
    let tags: usize = task.tags.iter().map(|tag| size_of::<String>() + tag.len()).sum();
    let description = task.description.as_ref().map_or(0, String::len);
    OVERHEAD + task.title.len() + description + tags
}
