//! The time and new ids. Only this file asks the machine for them.

use std::time::{SystemTime, UNIX_EPOCH};

use events::Timestamp;
use uuid::Uuid;

/// A clock.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that others are sent to")]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => crate::signed(since.as_micros()),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Timestamp::from_micros(micros)
    }
}

/// A new UUIDv7 (RFC 9562): ids made later by this process sort later.
#[expect(clippy::disallowed_methods, reason = "this is the place that others are sent to")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
