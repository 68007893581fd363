//! Whole numbers in a query string.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

/// Reads a number of `range`: digits, and nothing else.
pub fn whole_number<T: Display + FromStr + PartialOrd>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_digits && range.contains(&number) => Ok(number),
            _ => Err(format!("expected a whole number from {} to {}", range.start(), range.end())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_within_the_bounds_are_a_number() {
        let limit = whole_number::<u16>(1..=100);
        for (text, expected) in [("1", 1), ("100", 100), ("007", 7)] {
            assert_eq!(limit(text), Ok(expected));
        }
        for bad in ["", "0", "101", "+5", "-5", "5.0", " 5", "5 ", "x", "65537", "\u{665}"] {
            assert!(limit(bad).is_err(), "{bad:?}");
        }
    }
}
