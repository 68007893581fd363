//! The most common passwords. `common_passwords.md` names the source of the list.

use std::sync::LazyLock;

/// Sorted by bytes.
static COMMON: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Whether `lowercase` is on the list, as a whole.
pub(super) fn is_common(lowercase: &str) -> bool {
    COMMON.binary_search(&lowercase).is_ok()
}

#[cfg(test)]
mod tests {
    use unicode_normalization::is_nfc;

    use super::*;

    #[test]
    fn the_list_is_in_order_in_lower_case_and_in_nfc() {
        assert!(COMMON.is_sorted_by(|one, next| one < next));
        for password in COMMON.iter() {
            assert_eq!(*password, password.to_lowercase().trim());
            assert!(is_nfc(password), "{password}");
        }
    }

    #[test]
    fn ten_thousand_fit_every_minimum_that_can_be_set() {
        for minimum in 8..=15 {
            let fitting =
                COMMON.iter().filter(|password| (minimum..=128).contains(&password.chars().count()));
            assert!(fitting.count() >= 10_000, "{minimum}");
        }
    }

    #[test]
    fn knows_the_first_and_the_last_and_what_people_type() {
        let ends = [COMMON[0], COMMON[COMMON.len() - 1]];
        for password in ends.into_iter().chain(["1qaz2wsx3edc4rfv", "passwordpassword"]) {
            assert!(is_common(password), "{password}");
        }
        assert!(!is_common("") && !is_common("plum-tractor-canyon"));
    }
}
