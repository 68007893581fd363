//! The relay: publishes the log, in order, from the store to the bus.
//!
//! One is active at a time (`election.rs`); it resumes from its own progress (`progress.rs`). Publishing
//! twice is harmless, so progress is saved now and then and after the bus has taken the events over.

mod chain;
mod election;
mod metrics;
mod progress;
mod publisher;

pub use election::Election;
pub use metrics::RelayMetrics;
pub use progress::RelayProgress;
pub use publisher::Relay;
