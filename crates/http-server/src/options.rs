//! How a server treats its connections.

use std::time::Duration;

/// How a server treats its connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// For the head of a request to arrive.
    pub header_timeout: Duration,
    /// For the next request on a connection.
    pub idle_timeout: Duration,
    /// For the next bytes of a body, and for the client to take the next bytes of an answer.
    pub stall_timeout: Duration,
    /// For a whole body.
    pub body_timeout: Duration,
    /// For the client to take a whole answer; time in which this side had nothing to send does not count.
    pub answer_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// For requests in flight to finish once the server is told to stop.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(300),
            answer_timeout: Duration::from_secs(300),
            max_connections: 10_000,
            grace: Duration::from_secs(10),
        }
    }
}
