//! Random numbers. Only this file asks the machine for them.
#![expect(clippy::disallowed_methods, reason = "this is the place that others are sent to")]

/// A random number from `low` to `high`, not for secrets.
pub fn random_between(low: f64, high: f64) -> f64 {
    rand::random_range(low..=high)
}

/// Unpredictable bytes.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// Fills `bytes` with unpredictable bytes, for secrets.
pub fn fill_random(bytes: &mut [u8]) {
    rand::fill(bytes);
}
