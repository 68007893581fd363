//! The projector over SQLite.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod suite;

use suite::ground::Ground;

suite!(Ground::sqlite());
