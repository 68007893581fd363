//! The command side: takes commands over HTTP, decides them, appends their events. Also the relay, which
//! publishes the log to the bus.
//!
//! A request passes through four layers, each of which knows only the ones before it:
//!
//! 1. `domain/`: pure decisions.
//! 2. `handling/`: load, decide, append, and again after a conflict.
//! 3. `idempotency/`: a command with a key takes effect once.
//! 4. `endpoints/`: one file per endpoint.
//!
//! `relay/` stands beside them: it reads the log and never sees a request. `restore.rs` is for the
//! operator who has restored the log.

pub mod domain;
mod endpoints;
mod error;
pub mod handling;
mod housekeeping;
pub mod idempotency;
pub mod relay;
pub mod restore;
mod routes;
mod start;

pub use start::{Config, Dependencies, start};
