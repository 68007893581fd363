//! The tree over a real log, on both databases: it grows, it proves, it refuses to contradict itself, and nothing that is
//! changed in the database behind its back stays unnoticed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod dropping;
mod fixture;
mod growing;
mod signing;
mod tampering;
