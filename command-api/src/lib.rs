//! The command side: takes commands over HTTP, decides them and appends their events. It also runs the relay, which
//! publishes the log to the bus and never sees a request.
//!
//! A request passes through four layers, each of which knows only the ones before it:
//!
//! 1. `domain/`: pure decisions.
//! 2. `handling/`: load, decide, append, with retries after a conflict.
//! 3. `idempotency/`: a command with a key takes effect once.
//! 4. `endpoints/`: requests and answers.

#![expect(missing_docs, reason = "only the program itself uses a role")]

mod app_state;
mod changed_tasks;
mod config;
mod domain;
mod endpoints;
mod error;
pub mod handling;
mod housekeeping;
pub mod idempotency;
mod routes;
mod start;
mod trash;

pub use config::{Config, Dependencies};
pub use start::start;
