//! The query API: reads tasks from the read models, each caller's own and nobody else's.
//!
//! To add a query, add a file beside `endpoints/list_tasks/` and its route in `routes.rs`. It does not know how the
//! read models are made, and never writes to them.

mod admission;
mod app_state;
pub mod audit;
mod config;
mod endpoints;
mod error;
mod metrics;
mod routes;
mod start;
mod stream_limits;
mod stream_wakeups;
mod tasks;
#[cfg(test)]
mod testing;

pub use config::{Config, Dependencies};
pub use start::start;
