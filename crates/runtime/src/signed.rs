//! Numbers for SQL and for the gauges of Prometheus, which are signed.

/// `number` as a signed one. Nothing that is counted reaches 2^63.
pub fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
