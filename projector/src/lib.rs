//! The projector: turns the log into read models that are always a pure function of it.
//!
//! `start.rs` starts the role. `projecting/` brings events from the log into the tables, `models/` has the tables, a
//! file for each, and `operator/` what an operator does with them. To add a read model, see `models/mod.rs`.

#![expect(missing_docs, reason = "only the program itself uses a role")]

mod config;
mod erased_people;
mod error;
mod metrics;
mod models;
mod operator;
mod parked_without_keys;
mod projecting;
mod start;
#[cfg(test)]
mod testing;
mod tuning;

pub use config::{AuditKeeping, Config, Dependencies};
pub use operator::{
    parked_events::{
        Discarded, ParkedEvent, ParkingError, Retried, discard, parked, parked_among, parked_at, retry,
    },
    rebuild::{DroppedRows, Progress, Rebuild, RebuildError},
    restore::{ForeignCheckpoint, empty, foreign_checkpoints, foreign_discards, has_projected},
    status::{PartitionStatus, Status, TableStatus, status, tables},
    verify::{ComparedTable, Comparison, Report, VerifyError, verify, verify_sample},
};
pub use projecting::checkpoint::completed;
pub use start::{start, start_with_tuning};
pub use tuning::Tuning;
