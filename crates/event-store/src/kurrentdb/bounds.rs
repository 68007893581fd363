//! Limits of requests to a server: sizes, intervals, and the highest positions.

use std::time::Duration;

/// The most events of one request. Pages are cut to their size in bytes between requests.
pub(super) const CHUNK: usize = 500;
/// The highest position and the highest revision, which are signed numbers on the server.
pub(super) const LAST: u64 = i64::MAX as u64;
/// The pause between two reads of a stream that is known to be longer than the part that was read.
pub(super) const UNTIL_INDEXED: Duration = Duration::from_millis(2);
