//! Page size for commands that read the log.

/// Maximum number of events read at once.
pub(super) const PAGE: usize = 2_000;
