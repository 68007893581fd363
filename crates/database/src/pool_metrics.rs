//! Metrics of the pools of this process, computed when metrics are read.

use std::{collections::BTreeMap, sync::LazyLock};

use deadpool::managed::WeakPool;
use parking_lot::Mutex;
use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use runtime::process_metrics;

use crate::manager::Manager;

static POOLS: LazyLock<Option<Pools>> = LazyLock::new(|| {
    let pools = Pools::new();
    if let Err(error) = &pools {
        tracing::error!(%error, "pools of connections do not show what they hold");
    }
    pools.ok()
});

#[derive(Clone)]
struct Pools {
    connections: IntGaugeVec,
    waiting: IntGaugeVec,
}

static KNOWN: Mutex<Vec<(String, WeakPool<Manager>)>> = Mutex::new(Vec::new());

/// Shows the metrics of `pool`, under the name of its database, as long as it exists.
pub(crate) fn show(database: String, pool: WeakPool<Manager>) {
    LazyLock::force(&POOLS);
    let mut known = KNOWN.lock();
    known.retain(|(_, pool)| pool.upgrade().is_some());
    known.push((database, pool));
}

impl Pools {
    fn new() -> prometheus::Result<Self> {
        let pools = Self {
            connections: IntGaugeVec::new(
                Opts::new(
                    "taskledger_database_connections",
                    "Connections of the pools of this process: lent, idle, and how many there may be.",
                ),
                &["database", "state"],
            )?,
            waiting: IntGaugeVec::new(
                Opts::new(
                    "taskledger_database_waiting",
                    "Who waits for a connection of a pool of this process.",
                ),
                &["database"],
            )?,
        };
        process_metrics().registry().register(Box::new(pools.clone()))?;
        Ok(pools)
    }
}

/// The connections of all pools of one database.
#[derive(Default)]
struct Held {
    lent: usize,
    idle: usize,
    most: usize,
    waiting: usize,
}

impl Collector for Pools {
    fn desc(&self) -> Vec<&Desc> {
        [self.connections.desc(), self.waiting.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        for (database, pool) in &*KNOWN.lock() {
            let Some(pool) = pool.upgrade() else { continue };
            let status = pool.status();
            let held = held.entry(database.clone()).or_default();
            held.lent += status.size.saturating_sub(status.available);
            held.idle += status.available;
            held.most += status.max_size;
            held.waiting += status.waiting;
        }
        // Pools that were dropped are not shown any more.
        self.connections.reset();
        self.waiting.reset();
        for (database, held) in &held {
            for (state, number) in [("lent", held.lent), ("idle", held.idle), ("most", held.most)] {
                self.connections.with_label_values(&[database.as_str(), state]).set(runtime::signed(number));
            }
            self.waiting.with_label_values(&[database]).set(runtime::signed(held.waiting));
        }
        [self.connections.collect(), self.waiting.collect()].concat()
    }
}
