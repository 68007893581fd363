//! The relay over real logs and a bus that can fail.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml allows these in test functions; here they also stand in what tests share"
)]

mod byte_positions;
mod faults;
mod leadership;
mod publishing;
mod revocations;
mod support;
