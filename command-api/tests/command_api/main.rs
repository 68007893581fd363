//! The command side through its router, on real databases and the in-process bus.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows these in test functions; here they also stand in what tests share"
)]

mod authentication;
mod batch;
mod batch_idempotency;
mod batch_law;
mod conditions;
mod contention;
mod create;
mod failures;
mod fair_share;
mod idempotency;
mod idempotency_bounds;
mod leases;
mod long_streams;
mod looks_back;
mod patch;
mod relaying;
mod support;
mod trash;
mod undo;
mod verbs;
