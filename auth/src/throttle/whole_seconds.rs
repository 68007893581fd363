//! Waits as answers say them.

/// At least one, and no part of a second too early.
pub(super) fn whole_seconds(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000).max(1)
}
