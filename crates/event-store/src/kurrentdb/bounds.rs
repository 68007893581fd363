//! How much is asked of a server at once, how often, and up to where.

use std::time::Duration;

/// The most events that are asked for at once: a page is cut to its bytes between two of them.
pub(super) const CHUNK: usize = 500;
/// The highest position and the highest revision, which are signed numbers on the server.
pub(super) const LAST: u64 = i64::MAX as u64;
/// The time between two looks at a stream that is known to be longer than what was read of it.
pub(super) const UNTIL_INDEXED: Duration = Duration::from_millis(2);
