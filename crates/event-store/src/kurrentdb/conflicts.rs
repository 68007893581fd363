//! What conflicts have said. The server refuses an append by what is written, and shows readers what is indexed, which is
//! a moment later: whoever reads a stream after a conflict must see what the conflict was about.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What is written is indexed within this time, or never: a leader that fails may lose it.
const KEPT: Duration = Duration::from_secs(2);
/// The most streams that are remembered.
const MOST: usize = 10_000;

/// The versions that streams have had, by their names on the server.
#[derive(Default)]
pub(super) struct Conflicts(Mutex<HashMap<String, (u64, Instant)>>);

impl Conflicts {
    fn versions(&self) -> MutexGuard<'_, HashMap<String, (u64, Instant)>> {
        // Each change is one insertion or removal, so a poisoned lock is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream `name` is at `version`, whether that can be read or not.
    pub(super) fn saw(&self, name: String, version: u64) {
        let mut versions = self.versions();
        if versions.len() >= MOST {
            versions.retain(|_, (_, at)| at.elapsed() < KEPT);
        }
        if versions.len() < MOST {
            versions.insert(name, (version, Instant::now()));
        }
    }

    /// Whether a read of the stream `name` that found `version` as its end came too early.
    pub(super) fn is_behind(&self, name: &str, version: u64) -> bool {
        let mut versions = self.versions();
        let Some((wanted, at)) = versions.get(name) else {
            return false;
        };
        if version < *wanted && at.elapsed() < KEPT {
            return true;
        }
        versions.remove(name);
        false
    }
}
