//! The command side: takes commands over HTTP, decides them, appends their events. Also the relay, which
//! publishes the log to the bus.
//!
//! A request passes through four layers, each of which knows only the ones before it:
//!
//! 1. `domain/`: pure decisions.
//! 2. `handling/`: load, decide, append, and again after a conflict.
//! 3. `idempotency/`: a command with a key takes effect once.
//! 4. `http/`: one file per endpoint.
//!
//! `relay/` stands beside them: it reads the log and never sees a request.

pub mod domain;
pub mod handling;
mod http;
pub mod idempotency;
pub mod relay;
mod role;

pub use role::{Config, Dependencies, start};
