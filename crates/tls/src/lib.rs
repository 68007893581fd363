//! TLS by rustls: certificates and keys from files that operators replace while the process runs, and the authorities that the
//! other side is checked against. Knows neither HTTP nor connections.
//!
//! `server.rs` is what a server shows, `client.rs` whom a client believes, `files.rs` reads both.

mod client;
mod error;
mod files;
mod server;

pub use client::{authorities, trusting, trusting_nobody};
pub use error::TlsError;
pub use server::{ServerTls, TlsFiles};

/// The one protocol that is spoken inside TLS, as ALPN names it (RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";
