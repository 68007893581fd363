//! The projector over SQLite.

#![expect(
    clippy::disallowed_methods,
    reason = "tests make ids and start tasks as they like"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[path = "suite/long_swap.rs"]
mod long_swap;
mod suite;

use suite::fixture::Fixture;

suite!(Fixture::sqlite());
