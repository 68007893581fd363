//! The relay: publishes the log, in order, from the store to the bus. It never sees a request.
//!
//! One is active at a time (`election.rs`); it resumes from its own progress (`publish_position.rs`). Publishing
//! twice is harmless, so progress is saved now and then and after the bus has taken the events over. Each partition has
//! a sender of its own (`sender.rs`), so that none waits for another; how far the whole log is published is what they
//! have in common (`pages.rs`).

mod election;
mod lag;
mod metrics;
mod pages;
mod partition_sequence;
mod publish_position;
mod publisher;
pub mod restore;
mod resume;
mod revocations;
mod sender;

pub use election::Election;
pub use metrics::RelayMetrics;
pub use publish_position::RelayProgress;
pub use publisher::Relay;
