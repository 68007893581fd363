//! The projector: turns the log into read models that are always a pure function of it.
//!
//! `start.rs` starts the role. `ownership.rs` has the partitions that this replica owns (`leases.rs`) worked on, each by
//! a worker of its own (`workers.rs`, `live.rs`). They get their events from the bus (`messages.rs`), and from
//! `log_reader.rs`, which compares the checkpoints with the log and reads what is behind once for all of them;
//! `catch_up.rs` brings many partitions up to the end of a long log at once. `apply.rs` applies a batch of events in one
//! transaction: `checkpoint.rs` fences it, `loading.rs` reads the rows concerned, `fold.rs` folds events into them,
//! `writing.rs` writes them back. What cannot be read or applied is parked with its stream (`parking.rs`). `verify.rs`
//! compares the tables with a fold of the whole log. To add a read model, see `models/`.

mod apply;
mod catch_up;
mod checkpoint;
mod condition;
mod decode;
mod error;
mod fill_grams;
mod fold;
mod leases;
mod live;
mod loading;
mod log_identity;
mod log_reader;
mod messages;
mod metrics;
mod models;
mod ownership;
mod pace;
mod parking;
mod plan;
mod rebuild;
mod restore;
mod start;
mod status;
mod table;
mod verify;
mod workers;
mod writing;

pub use pace::Pace;
pub use parking::{ParkedEvent, ParkingError, Retried, discard, parked, retry, retry_position};
pub use rebuild::{Progress, Rebuild, RebuildError};
pub use restore::{ForeignCheckpoint, empty, foreign_checkpoints, foreign_discards};
pub use start::{AuditKeeping, Config, Dependencies, start, start_at_pace};
pub use status::{PartitionStatus, Status, TableStatus, status, tables};
pub use verify::{ComparedTable, Comparison, Report, VerifyError, verify, verify_sample};
