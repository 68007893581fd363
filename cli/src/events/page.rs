//! How much of the log a command reads at once.

/// The most events that are read at once.
pub(super) const PAGE: usize = 2_000;
