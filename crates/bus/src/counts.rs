//! What a bus counts of what has gone wrong and been mended, and how Prometheus reads it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus::{
    IntCounter, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::Bus;

/// The counters of one bus, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusCounts {
    /// Messages that the bus has dropped from a full queue of its own. A broker does not say.
    pub dropped: u64,
    /// Publications that reached no queue and came back.
    pub returned: u64,
    /// Times that something missing on the broker was declared or bound again.
    pub restored: u64,
    /// Messages that were refused for themselves.
    pub refused: u64,
    /// Requests that were not worked on because nobody waited for the reply any more, or given up for it.
    pub expired: u64,
}

/// The same while they grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) dropped: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) restored: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> BusCounts {
        BusCounts {
            dropped: self.dropped.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
            restored: self.restored.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
        }
    }
}

/// One counter: its name, what it says, and where it is in [`BusCounts`].
type Row = (&'static str, &'static str, fn(&BusCounts) -> u64);

const ROWS: [Row; 5] = [
    (
        "taskledger_bus_dropped_total",
        "Messages dropped from a full queue within this process.",
        |counts| counts.dropped,
    ),
    (
        "taskledger_bus_returned_total",
        "Publications that reached no queue on the broker.",
        |counts| counts.returned,
    ),
    (
        "taskledger_bus_restored_total",
        "Times that a missing queue, exchange or binding was made again.",
        |counts| counts.restored,
    ),
    (
        "taskledger_bus_refused_total",
        "Messages that the bus refused for themselves.",
        |counts| counts.refused,
    ),
    (
        "taskledger_bus_requests_expired_total",
        "Requests not answered because their deadline had passed.",
        |counts| counts.expired,
    ),
];

/// Shows the counts of a bus whenever metrics are read. To be registered once for each registry.
pub struct BusCollector {
    bus: Arc<dyn Bus>,
    counters: Vec<IntCounter>,
}

impl BusCollector {
    /// Shows what `bus` counts among the metrics of `registry`.
    ///
    /// # Errors
    /// When `registry` has them already.
    pub fn register(bus: Arc<dyn Bus>, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(Self::new(bus)?))
    }

    fn new(bus: Arc<dyn Bus>) -> prometheus::Result<Self> {
        let counters = ROWS.iter().map(|(name, help, _)| IntCounter::new(*name, *help));
        Ok(Self {
            bus,
            counters: counters.collect::<Result<_, _>>()?,
        })
    }
}

impl Collector for BusCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.counters.iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counts = self.bus.counts();
        for (counter, (_, _, value)) in self.counters.iter().zip(ROWS) {
            counter.inc_by(value(&counts).saturating_sub(counter.get()));
        }
        self.counters.iter().flat_map(Collector::collect).collect()
    }
}

impl fmt::Debug for BusCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusCollector").finish_non_exhaustive()
    }
}
