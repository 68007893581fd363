//! TLS by rustls: certificates and keys from files that operators replace while the process runs, and the trusted
//! authorities. Knows nothing of HTTP and connections.
//!
//! `server/` has the certificates of servers, `client.rs` the trusted authorities of clients, and `files.rs` reads
//! both.

mod client;
mod error;
mod files;
mod server;

pub use client::{authorities, trusting, trusting_nobody};
pub use error::TlsError;
pub use server::{ServerTls, TlsFiles};

/// The protocol inside TLS, as ALPN names it (RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";
