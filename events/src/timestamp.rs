//! Instants with microsecond precision, the finest that every store and JSON client keeps.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer, ser};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::as_text::from_text;

/// An instant in UTC, in microseconds since 1970-01-01T00:00:00Z. Text is RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The bytes of the longest text, such as 2026-12-01T09:00:00.000001Z.
const MAX_CHARACTERS: usize = 27;

/// The text is not an RFC 3339 instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 instant such as 2026-12-01T09:00:00Z")]
pub struct ParseTimestampError;

impl Timestamp {
    /// The last microsecond of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);
    /// The first microsecond of the year 0000.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// How far the clock of another process may be ahead of ours, in seconds. An instant from another process that is
    /// at most this far in the future counts as the present.
    pub const CLOCK_LEEWAY_SECONDS: i64 = 30;

    /// From microseconds since the Unix epoch, clamped to the years 0000 to 9999 that RFC 3339 can write.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant moved by a number of seconds, clamped to the years 0000 to 9999.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_micros(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Writes the text into `space` without an allocation, because a page of tasks has a hundred instants.
    fn write(self, space: &mut [u8; MAX_CHARACTERS]) -> Option<&str> {
        let micros = u32::try_from(self.0.rem_euclid(1_000_000)).ok()?;
        let instant = OffsetDateTime::from_unix_timestamp(self.as_seconds()).ok()?;
        let instant = instant.replace_microsecond(micros).ok()?;
        let mut rest = space.as_mut_slice();
        instant.format_into(&mut rest, &Rfc3339).ok()?;
        // The returned length cannot be used: it leaves out digits of the fraction (time 0.3).
        let length = MAX_CHARACTERS - rest.len();
        str::from_utf8(space.get(..length)?).ok()
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(instant: OffsetDateTime) -> Self {
        let micros = instant.unix_timestamp_nanos().div_euclid(1_000);
        Self::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; MAX_CHARACTERS]).ok_or(fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The parser of `time` skips any byte between date and time.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(ParseTimestampError);
        }
        let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ParseTimestampError)?;
        let utc = instant.checked_to_offset(UtcOffset::UTC).ok_or(ParseTimestampError)?;
        if (0..=9999).contains(&utc.year()) { Ok(utc.into()) } else { Err(ParseTimestampError) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.write(&mut [0; MAX_CHARACTERS]) {
            Some(text) => serializer.serialize_str(text),
            None => Err(ser::Error::custom("an instant that RFC 3339 cannot write")),
        }
    }
}

from_text!(Timestamp);
