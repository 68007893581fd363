//! Moving the log from one store into another, with interruptions and changed files.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod exporting;
mod fixture;
mod importing;
mod sealing;
