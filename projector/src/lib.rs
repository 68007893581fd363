//! The projector: turns the log into read models that are always a pure function of it.
//!
//! `start.rs` starts the role. `projecting/` brings events from the log into the tables, `models/` has the tables, a file for
//! each, and `operator/` what an operator does with them. To add a read model, see `models/mod.rs`.

#![expect(missing_docs, reason = "only the program itself uses a role")]

mod erased_people;
mod error;
mod metrics;
mod models;
mod operator;
mod projecting;
mod start;
mod tuning;

pub use operator::{
    parking::{ParkedEvent, ParkingError, Retried, discard, parked, parked_among, retry},
    rebuild::{DroppedRows, Progress, Rebuild, RebuildError},
    restore::{ForeignCheckpoint, empty, foreign_checkpoints, foreign_discards},
    status::{PartitionStatus, Status, TableStatus, status, tables},
    verify::{ComparedTable, Comparison, Report, VerifyError, verify, verify_sample},
};
pub use projecting::checkpoint::completed;
pub use start::{AuditKeeping, Config, Dependencies, start, start_with_tuning};
pub use tuning::Tuning;
