//! The options of a server.

use std::time::Duration;

use tls::ServerTls;

use crate::{head::HeadLimits, pressure::Pressure, workers::Workers};

/// How a server treats its connections.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The threads that serve connections. Without them, the runtime that accepts connections serves them.
    pub workers: Option<Workers>,
    /// TLS on every connection; without it, none.
    pub tls: Option<ServerTls>,
    /// For the head of a request.
    pub head_limits: HeadLimits,
    /// For the head of a request to arrive, and before it for a handshake of TLS.
    pub header_timeout: Duration,
    /// For the next request on a connection.
    pub idle_timeout: Duration,
    /// For the next bytes of a body, and for the client to take the next 16 KiB of an answer, or its end.
    pub stall_timeout: Duration,
    /// For the client to take the next 16 KiB of a large answer while other answers need its memory.
    pub stall_timeout_under_load: Duration,
    /// For a whole body.
    pub body_timeout: Duration,
    /// For the client to take a whole answer; time in which this side had nothing to send does not count.
    pub answer_timeout: Duration,
    /// The most connections. One more closes those that have waited longest for their clients; if none waits, it is
    /// refused.
    pub max_connections: usize,
    /// The same for connections from one address (of IPv6: from one network of 64 bits).
    pub max_connections_per_address: usize,
    /// The most requests in progress; more are refused. Half of them may be streams of events, and half of them
    /// anonymous.
    pub max_requests: usize,
    /// The most bytes of bodies that are being received, and of answers that were not taken yet. More is refused,
    /// except small bodies, small answers, and answers to commands; but before an answer is refused, large ones to
    /// reads whose clients are slow for `stall_timeout_under_load` are cut off, those first whose clients are slow for
    /// longest. An answer whose length is not known, such as a stream of events, counts part by part, and ends when
    /// there is no room for its next part.
    pub max_bytes: usize,
    /// The same for one caller, as far as the application names callers ([`RequestLoad`](crate::RequestLoad)).
    pub max_bytes_per_caller: usize,
    /// While it is set, requests are refused.
    pub pressure: Option<Pressure>,
    /// For requests in flight to finish after the server was told to stop.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            workers: None,
            tls: None,
            head_limits: HeadLimits::OF_CLIENTS,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            stall_timeout_under_load: Duration::from_secs(5),
            body_timeout: Duration::from_secs(300),
            answer_timeout: Duration::from_secs(300),
            max_connections: 10_000,
            max_connections_per_address: usize::MAX,
            max_requests: 4_096,
            max_bytes: 48 * 1024 * 1024,
            max_bytes_per_caller: 12 * 1024 * 1024,
            pressure: None,
            grace: Duration::from_secs(10),
        }
    }
}
