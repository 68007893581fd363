//! Whether this process works, according to its last comparison with the log. Readiness reports this without asking
//! any server.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use events::LogPoint;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{metrics::ProjectorMetrics, projecting::leases::LEASE};

/// After this many heartbeats without progress, although there are events to project, a partition is stuck.
const STUCK: u32 = 10;

pub(crate) struct Readiness {
    metrics: ProjectorMetrics,
    patience: Duration,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    /// When the log was last read without a failure, whether or not it is the log of the read models.
    read: Instant,
    failure: Option<String>,
    /// When partitions were claimed last.
    claimed: Instant,
    owned: BTreeSet<u16>,
    behind: BTreeMap<u16, Since>,
}

/// A partition that is behind.
struct Since {
    /// When it was first behind.
    behind: Instant,
    checkpoint: u64,
    /// When the checkpoint was first seen at this position.
    moved: Instant,
}

impl Readiness {
    pub(crate) fn new(metrics: ProjectorMetrics, heartbeat: Duration) -> Self {
        Self {
            metrics,
            patience: heartbeat * STUCK,
            state: Mutex::new(State {
                looked: Instant::now(),
                read: Instant::now(),
                failure: None,
                claimed: Instant::now(),
                owned: BTreeSet::new(),
                behind: BTreeMap::new(),
            }),
        }
    }

    /// Sets the partitions of this process, which has just claimed them.
    pub(crate) fn owns(&self, partitions: &BTreeSet<u16>) {
        let mut state = self.state.lock();
        state.behind.retain(|partition, _| partitions.contains(partition));
        for lost in state.owned.difference(partitions) {
            self.metrics.behind_for(*lost, 0);
        }
        state.claimed = Instant::now();
        state.owned.clone_from(partitions);
        self.metrics.owned.set(runtime::signed(partitions.len()));
    }

    /// Records a comparison of the checkpoints of all partitions with the log, of which everything up to `due` should
    /// be projected.
    pub(crate) fn looked(&self, checkpoints: &[LogPoint], due: u64) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.looked = now;
        state.failure = None;
        for partition in state.owned.clone() {
            let checkpoint = checkpoints[usize::from(partition)].position;
            if checkpoint >= due {
                state.behind.remove(&partition);
                self.metrics.behind_for(partition, 0);
                continue;
            }
            let since =
                state.behind.entry(partition).or_insert(Since { behind: now, checkpoint, moved: now });
            if since.checkpoint != checkpoint {
                (since.checkpoint, since.moved) = (checkpoint, now);
            }
            self.metrics.behind_for(partition, now.duration_since(since.behind).as_secs());
        }
    }

    /// Records that the comparison failed.
    pub(crate) fn failed(&self, why: String) {
        self.state.lock().failure = Some(why);
    }

    /// Records that the log can be read.
    pub(crate) fn has_read(&self) {
        self.state.lock().read = Instant::now();
    }

    /// Whether the log could not be read for so long that another process should have the partitions. A read without an
    /// answer counts later than a failure, because it may only be slow.
    pub(crate) fn is_cut_off(&self) -> bool {
        let state = self.state.lock();
        let since = state.read.elapsed();
        since > LEASE && (state.failure.is_some() || since > LEASE + self.patience)
    }

    /// Updates the metrics that depend on the time.
    pub(crate) fn tick(&self) {
        let age = self.state.lock().looked.elapsed().as_secs();
        self.metrics.look_age.set(runtime::signed(age));
    }

    /// Why this process does not work; `None` if it does.
    pub(crate) fn complaint(&self) -> Option<String> {
        let state = self.state.lock();
        if let Some(failure) = &state.failure {
            tracing::debug!(failure, "not ready");
            return Some("the log cannot be compared with the read models".to_owned());
        }
        if state.looked.elapsed() > self.patience {
            return Some(format!(
                "the log has not been looked at for {} s",
                state.looked.elapsed().as_secs()
            ));
        }
        if state.claimed.elapsed() > LEASE {
            return Some(format!(
                "no partitions could be claimed for {} s",
                state.claimed.elapsed().as_secs()
            ));
        }
        let stuck: Vec<String> = state
            .behind
            .iter()
            .filter(|(_, since)| since.moved.elapsed() > self.patience)
            .map(|(partition, _)| partition.to_string())
            .collect();
        (!stuck.is_empty()).then(|| format!("nothing is projected in partition {}", stuck.join(", ")))
    }
}
