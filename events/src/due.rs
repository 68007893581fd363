//! When a task is due: a whole day, or an instant.

use std::{fmt, str::FromStr};

use time::{Date, Duration, format_description::BorrowedFormatItem, macros::format_description};

use crate::{Timestamp, as_text::as_text};

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// A day (`2026-12-01`, taken in UTC) or an instant (`2026-12-01T09:00:00Z`), in the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Due {
    /// Some time on that day; overdue when the day has ended in UTC.
    Day(Date),
    /// At that instant; overdue from then on.
    At(Timestamp),
}

/// The text is neither a day nor an instant in the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a date such as 2026-12-01 or an instant such as 2026-12-01T09:00:00Z, in the years 1970 to 9999"
)]
pub struct ParseDueError;

impl Due {
    /// Where a filter begins that was given as a day, which is from its beginning in UTC, or as an instant.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse_start(text: &str) -> Result<Timestamp, ParseDueError> {
        text.parse::<Self>().map(Self::starts_at)
    }

    /// The time that sorting and filters use: the instant, or the first microsecond of the day.
    pub fn starts_at(self) -> Timestamp {
        match self {
            Self::Day(day) => day.midnight().assume_utc().into(),
            Self::At(instant) => instant,
        }
    }

    /// The first instant at which it is overdue: the instant, or the end of the day.
    pub fn overdue_at(self) -> Timestamp {
        match self {
            Self::Day(day) => {
                Timestamp::from(day.midnight().assume_utc()).plus_seconds(Duration::DAY.whole_seconds())
            }
            Self::At(instant) => instant,
        }
    }
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => f.write_str(&day.format(DAY).map_err(|_| fmt::Error)?),
            Self::At(instant) => instant.fmt(f),
        }
    }
}

impl FromStr for Due {
    type Err = ParseDueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The parser of days would accept a sign before the year.
        if text.starts_with('+') {
            return Err(ParseDueError);
        }
        let due = match Date::parse(text, DAY) {
            Ok(day) => Self::Day(day),
            Err(_) => Self::At(text.parse().map_err(|_| ParseDueError)?),
        };
        let starts_at = due.starts_at();
        if starts_at >= Timestamp::from_micros(0) && starts_at <= Timestamp::MAX {
            Ok(due)
        } else {
            Err(ParseDueError)
        }
    }
}

as_text!(Due);
