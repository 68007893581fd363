//! From the log to the tables. Knows nothing of operators' commands.
//!
//! `ownership.rs` runs the partitions that this replica owns (`leases.rs`), each in a worker of its own
//! (`workers.rs`, `partition_consumer.rs`). They get their events from the bus (`messages.rs`; what is missing there
//! `gap_detection.rs` finds and `gap_repair.rs` reads from the log), and from `log_reader.rs`, which compares the
//! checkpoints with the log and reads missing events once for all of them; `catch_up.rs` brings many partitions up to
//! the end of a long log at once. `apply.rs` applies a batch of events in one transaction: `checkpoint.rs` fences it,
//! `loading.rs` reads the rows concerned, `fold/` folds events into them, `writing.rs` writes them back. Of erased
//! people and purged tasks `deletion.rs` deletes as many rows as fit into the transaction, and
//! `unfinished_deletions.rs` the rest. An event that cannot be read or applied is parked with its stream: `fold/`
//! decides this, `operator/parked_events.rs` retries.

pub(crate) mod apply;
pub(crate) mod catch_up;
pub(crate) mod checkpoint;
pub(crate) mod decode;
pub(crate) mod deletion;
pub(crate) mod fill_grams;
pub(crate) mod fold;
pub(crate) mod gap_detection;
pub(crate) mod gap_repair;
pub(crate) mod leases;
pub(crate) mod loading;
pub(crate) mod log_comparison;
pub(crate) mod log_reader;
pub(crate) mod log_segment;
pub(crate) mod messages;
pub(crate) mod ownership;
pub(crate) mod partition_consumer;
pub(crate) mod readiness;
pub(crate) mod unfinished_deletions;
pub(crate) mod worker_context;
pub(crate) mod workers;
pub(crate) mod writing;
