//! The counts of failures and repairs of a bus.

use parking_lot::Mutex;

/// The counters of one bus, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusCounts {
    /// Messages that the in-process bus dropped from a full queue. RabbitMQ does not report this.
    pub dropped: u64,
    /// Publications that reached no queue and came back.
    pub returned: u64,
    /// Missing objects on the broker that were declared or bound again.
    pub restored: u64,
    /// Messages that the bus will never accept.
    pub refused: u64,
    /// Requests that were not answered because their caller had stopped waiting.
    pub expired: u64,
}

/// The same counts while the bus runs.
pub(crate) type Counters = Mutex<BusCounts>;
