//! Remembers conflicts. The server compares an append with the written events, but readers see events only after they
//! are indexed, a moment later. A caller that reads a stream after a conflict must see the events that caused it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// A written event is indexed within this time, or never, if a failing leader loses it.
const KEPT: Duration = Duration::from_secs(2);
/// The most streams that are remembered.
const MAX_STREAMS: usize = 10_000;

/// The last known versions of streams, by their names on the server.
#[derive(Default)]
pub(super) struct Conflicts(Mutex<HashMap<String, (u64, Instant)>>);

impl Conflicts {
    /// Records that the stream `name` is at `version`, whether or not that can be read yet.
    pub(super) fn saw(&self, name: String, version: u64) {
        let mut versions = self.0.lock();
        if versions.len() >= MAX_STREAMS {
            versions.retain(|_, (_, at)| at.elapsed() < KEPT);
        }
        if versions.len() < MAX_STREAMS {
            versions.insert(name, (version, Instant::now()));
        }
    }

    /// Whether a read of the stream `name` that ended at `version` came too early.
    pub(super) fn is_behind(&self, name: &str, version: u64) -> bool {
        let mut versions = self.0.lock();
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
