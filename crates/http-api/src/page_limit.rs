//! The parameter `limit`: the most items in a page.

/// Reads a `limit` from 1 to `longest`: digits, and nothing else.
pub fn limit_to(longest: u16) -> impl Fn(&str) -> Result<u16, String> {
    move |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(limit) if digits && (1..=longest).contains(&limit) => Ok(limit),
            _ => Err(format!("expected a whole number from 1 to {longest}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_within_the_bounds_are_a_limit() {
        let limit = limit_to(100);
        for (text, expected) in [("1", 1), ("100", 100), ("007", 7)] {
            assert_eq!(limit(text), Ok(expected));
        }
        for bad in [
            "", "0", "101", "+5", "-5", "5.0", " 5", "5 ", "x", "65537", "\u{665}",
        ] {
            assert!(limit(bad).is_err(), "{bad:?}");
        }
    }
}
