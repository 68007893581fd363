//! The metrics of connections and of their memory, which all servers of a process share, and the log lines about
//! connections that were refused or ended for others.

use std::{net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use prometheus::{IntCounterVec, IntGauge};
use runtime::{Counted, LogLimit, process_metrics, signed};

/// Why a connection was refused or ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reason {
    /// There are as many connections as there may be.
    Total,
    /// There are as many from one address as there may be.
    Address,
    /// It waited for its client, and another one got its place.
    Displaced,
    /// Its client did not take a large answer, whose memory was needed; or there was no memory for the next part of its
    /// answer.
    Memory,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Total, Self::Address, Self::Displaced, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::Displaced => "displaced",
            Self::Memory => "memory",
        }
    }
}

/// The metrics of connections. Clones share what is to be logged.
#[derive(Clone)]
pub(crate) struct ConnectionMetrics {
    open: IntGauge,
    bytes: IntGauge,
    refused: IntCounterVec,
    logs: Arc<[Mutex<LogLimit>; Reason::ALL.len()]>,
}

impl ConnectionMetrics {
    pub(crate) fn new() -> Self {
        let metrics = process_metrics();
        let refused = metrics.counter_vec(
            "taskledger_http_connections_refused_total",
            "Connections that were refused, or ended for others: by a limit, or for memory.",
            &["reason"],
        );
        for reason in Reason::ALL {
            refused.with_label_values(&[reason.name()]);
        }
        Self {
            open: metrics.gauge("taskledger_http_connections", "Open connections of clients."),
            bytes: metrics.gauge(
                "taskledger_http_bytes_in_flight",
                "Bytes of requests that are being received, and of answers that were not taken yet.",
            ),
            refused,
            logs: Arc::default(),
        }
    }

    /// Counts one more open connection, until the guard is dropped.
    pub(crate) fn opened(&self) -> Counted {
        Counted::in_gauge(&self.open)
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.bytes.add(signed(bytes));
    }

    pub(crate) fn remove_bytes(&self, bytes: usize) {
        self.bytes.sub(signed(bytes));
    }

    /// Counts connections that were refused or ended, and logs it, but not again with the same reason within ten
    /// seconds. `client` has caused the last of them, as far as that is known: by its connection, or by an answer that
    /// it did not take.
    pub(crate) fn refused(&self, reason: Reason, connections: usize, client: Option<IpAddr>) {
        if connections == 0 {
            return;
        }
        self.refused.with_label_values(&[reason.name()]).inc_by(connections as u64);
        if let Some(connections) = self.to_log(reason, connections) {
            tracing::warn!(
                reason = reason.name(),
                connections,
                client.address = client.map(tracing::field::display),
                "connections were refused or ended for others"
            );
        }
    }

    /// The number of connections with this reason since the last log line about it, if there is to be another one.
    fn to_log(&self, reason: Reason, connections: usize) -> Option<usize> {
        self.logs[reason as usize].lock().count(connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_reason_is_logged_with_its_own_count() {
        let metrics = ConnectionMetrics::new();
        assert_eq!(metrics.to_log(Reason::Memory, 2), Some(2));
        assert_eq!(metrics.to_log(Reason::Displaced, 5), Some(5));
        for reason in [Reason::Memory, Reason::Displaced, Reason::Memory] {
            assert_eq!(metrics.to_log(reason, 1), None);
        }
        tokio::time::advance(LogLimit::INTERVAL).await;
        assert_eq!(metrics.to_log(Reason::Memory, 1), Some(3));
        assert_eq!(metrics.to_log(Reason::Displaced, 1), Some(2));
        assert_eq!(metrics.to_log(Reason::Total, 1), Some(1));
    }
}
