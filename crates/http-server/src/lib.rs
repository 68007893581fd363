//! A careful HTTP/1 server: it bounds every wait and every head, limits connections, and shuts down gracefully. Knows
//! nothing of the served application.
//!
//! `server.rs` accepts, `workers.rs` spreads connections over threads, `connection.rs` serves one connection,
//! `transport.rs` is TCP or TLS, `socket.rs` bounds its waits, `head_gate.rs` and `head.rs` check each head before
//! hyper reads it, `body.rs` bounds the bodies of requests, `answer_body.rs` passes answers on, `connection_limit.rs`
//! bounds the connections, and `load.rs` the work in progress; with `request_load.rs` the application names its
//! callers. `connection_metrics.rs` tells what they refuse. `service.rs` is the application as the server sees it.

mod activity;
mod answer_body;
mod body;
mod caller_bytes;
mod connection;
mod connection_limit;
mod connection_metrics;
mod head;
mod head_gate;
mod load;
mod network_bytes;
mod options;
mod pressure;
mod request_load;
mod server;
mod service;
mod socket;
mod transport;
mod workers;

pub use body::{BodyOverloaded, BodyStalled};
pub use caller_bytes::CallerBytes;
pub use connection::OverTls;
pub use connection_limit::network_of;
pub use head::{HeadLimits, Refusal};
pub use load::{Waiting, WaitingRequest};
pub use options::ServerOptions;
pub use pressure::Pressure;
pub use request_load::RequestLoad;
pub use server::{bind, serve};
pub use service::HttpService;
pub use workers::Workers;
