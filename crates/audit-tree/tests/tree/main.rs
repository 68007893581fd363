//! The tree over a real log, on both databases: it grows, makes proofs, never contradicts an earlier checkpoint, and
//! every change in the database by somebody else is found.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod dropping;
mod fixture;
mod growing;
mod signing;
mod tampering;
