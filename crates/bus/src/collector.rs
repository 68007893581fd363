//! Exports the counts of a bus to Prometheus.

use std::{fmt, sync::Arc};

use prometheus::{
    IntCounter, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{Bus, BusCounts};

/// One counter: its name, its help text, and its value in [`BusCounts`].
type Row = (&'static str, &'static str, fn(&BusCounts) -> u64);

const ROWS: [Row; 5] = [
    ("taskledger_bus_dropped_total", "Messages dropped from a full queue within this process.", |counts| {
        counts.dropped
    }),
    ("taskledger_bus_returned_total", "Publications that reached no queue on the broker.", |counts| {
        counts.returned
    }),
    (
        "taskledger_bus_restored_total",
        "Times that a missing queue, exchange or binding was made again.",
        |counts| counts.restored,
    ),
    ("taskledger_bus_refused_total", "Messages that the bus refused for themselves.", |counts| {
        counts.refused
    }),
    (
        "taskledger_bus_requests_expired_total",
        "Requests not answered because their deadline had passed.",
        |counts| counts.expired,
    ),
];

/// Exports the counts of a bus whenever metrics are read. To be registered once in each registry.
pub struct BusCollector {
    bus: Arc<dyn Bus>,
    counters: Vec<IntCounter>,
}

impl BusCollector {
    /// Exports the counts of `bus` in `registry`.
    ///
    /// # Errors
    /// When `registry` has them already.
    pub fn register(bus: Arc<dyn Bus>, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(Self::new(bus)?))
    }

    fn new(bus: Arc<dyn Bus>) -> prometheus::Result<Self> {
        let counters = ROWS.iter().map(|(name, help, _)| IntCounter::new(*name, *help));
        Ok(Self { bus, counters: counters.collect::<Result<_, _>>()? })
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
