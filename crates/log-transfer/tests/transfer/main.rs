//! The log out of one store and into another, broken off and changed on the way.

#![expect(
    clippy::disallowed_methods,
    reason = "tests make ids and start tasks as they like"
)]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod exporting;
mod importing;
mod place;
mod sealing;
