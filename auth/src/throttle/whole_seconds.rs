//! Waits in whole seconds, for answers.

/// Rounds up to at least one second.
pub(super) fn whole_seconds(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000).max(1)
}
