//! The projector: turns the log into read models that are always a pure function of it.
//!
//! `start.rs` starts the role; `catch_up.rs` and `live.rs` bring events; `apply.rs` applies a batch of them in
//! one transaction: `checkpoint.rs` fences it, `loading.rs` reads the rows concerned, `fold.rs` folds events
//! into them, `writing.rs` writes them back. What cannot be applied is parked with its stream (`parking.rs`).
//! `log_identity.rs` compares checkpoints and messages with the log that is there,
//! `verify.rs` compares the tables with a fold of the whole log. To add a read model, see `models/`.

mod apply;
mod catch_up;
mod checkpoint;
mod decode;
mod error;
mod fill_grams;
mod fold;
mod live;
mod loading;
mod log_identity;
mod metrics;
mod models;
mod pace;
mod parking;
mod plan;
mod rebuild;
mod restore;
mod start;
mod status;
mod table;
mod verify;
mod writing;

pub use pace::Pace;
pub use parking::{ParkedEvent, ParkingError, Retried, discard, parked, retry, retry_position};
pub use rebuild::{Progress, Rebuild, RebuildError};
pub use restore::{ForeignCheckpoint, empty, foreign_checkpoints, foreign_discards};
pub use start::{Config, Dependencies, start, start_at_pace};
pub use status::{PartitionStatus, Status, TableStatus, status, tables};
pub use verify::{ComparedTable, Comparison, Report, VerifyError, verify, verify_sample};
