//! The relay: publishes the log, in order, from the store to the bus. It knows nothing of requests.
//!
//! One relay is active at a time (`election.rs`). It reads the log (`publisher.rs`) from where it stopped (`resume.rs`,
//! `progress.rs`). Publishing twice is harmless, so progress is saved after the bus has confirmed the events, and not
//! after each of them. Each partition has its own sender (`sender.rs`), so that none waits for another; `open_pages.rs`
//! finds up to where the whole log is published.

mod election;
mod lag;
mod metrics;
mod open_pages;
mod partition_sequence;
mod progress;
mod publisher;
pub mod restore;
mod resume;
mod revocations;
mod sender;

pub use election::Election;
pub use metrics::RelayMetrics;
pub use progress::RelayProgress;
pub use publisher::Relay;
