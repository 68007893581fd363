//! What makes a password good enough: length, and not being among the first that anyone would guess
//! (NIST SP 800-63B, section 5.1.1.2). No rules about kinds of characters.

use std::{collections::HashSet, sync::LazyLock};

use events::EmailAddress;

use super::Password;

const MIN_CHARACTERS: usize = 12;
const MAX_CHARACTERS: usize = 128;

/// Lowercase, one a line; lines that begin with `#` are remarks.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("../common_passwords.txt").lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
});

/// Why a password is not good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Weakness {
    /// Fewer than 12 characters.
    #[error("must have at least 12 characters")]
    TooShort,
    /// More than 128 characters.
    #[error("must have at most 128 characters")]
    TooLong,
    /// Among those that are guessed first, or one of them with digits or symbols behind it.
    #[error("is one of the passwords that are guessed first")]
    TooCommon,
    /// Contains the address.
    #[error("must not contain the e-mail address")]
    ContainsAddress,
}

impl Weakness {
    /// The slug that clients see.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
            Self::TooCommon => "too-common",
            Self::ContainsAddress => "contains-address",
        }
    }
}

/// Whether `password` is good enough for the account with this address. Characters are Unicode scalar values
/// of the NFC form.
pub(crate) fn check(password: &Password, email: Option<&EmailAddress>) -> Result<(), Weakness> {
    let normalized = password.normalized();
    match normalized.chars().count() {
        count if count < MIN_CHARACTERS => return Err(Weakness::TooShort),
        count if count > MAX_CHARACTERS => return Err(Weakness::TooLong),
        _ => {}
    }
    let lowercase = zeroize::Zeroizing::new(normalized.to_lowercase());
    let stem = lowercase.trim_end_matches(|c: char| !c.is_alphabetic());
    if COMMON.contains(lowercase.as_str()) || COMMON.contains(stem) {
        return Err(Weakness::TooCommon);
    }
    match email {
        Some(email) if email.is_part_of(&normalized) => Err(Weakness::ContainsAddress),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(password: &str) -> Result<(), Weakness> {
        check(
            &Password::new(password),
            Some(&EmailAddress::parse("Lovelace@example.com").unwrap()),
        )
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(judge("elevenchars"), Err(Weakness::TooShort));
        assert_eq!(judge("twelve chars"), Ok(()));
        assert_eq!(judge(&"🦀".repeat(11)), Err(Weakness::TooShort));
        assert_eq!(judge(&"🦀".repeat(12)), Ok(()));
        assert_eq!(judge(&"🦀".repeat(128)), Ok(()));
        assert_eq!(judge(&"🦀".repeat(129)), Err(Weakness::TooLong));
    }

    #[test]
    fn composed_and_decomposed_letters_count_alike() {
        assert_eq!(judge(&"e\u{301}".repeat(11)), Err(Weakness::TooShort));
        assert_eq!(judge(&"e\u{301}".repeat(128)), Ok(()));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case_and_with_digits_behind() {
        for password in [
            "password1234",
            "PassWord!!!!",
            "123456789012",
            "qwertyuiop123",
            "administrator",
            "passwordpassword",
        ] {
            assert_eq!(judge(password), Err(Weakness::TooCommon), "{password}");
        }
        for password in [
            "correct horse battery staple",
            "plum-tractor-canyon",
            "passwords are a nuisance",
        ] {
            assert_eq!(judge(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn the_address_is_refused_in_any_case() {
        assert_eq!(judge("xx lovelace@EXAMPLE.com"), Err(Weakness::ContainsAddress));
        assert_eq!(judge("lovelace is a fine name"), Ok(()));
    }

    #[test]
    fn the_list_is_lowercase_and_has_no_duplicates() {
        let lines: Vec<_> = include_str!("../common_passwords.txt")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert_eq!(lines.len(), COMMON.len());
        assert!(lines.len() > 300);
        for line in lines {
            assert_eq!(line, line.to_lowercase().trim());
        }
    }

    proptest! {
        #[test]
        fn any_unicode_of_the_right_length_passes_unless_common(password in "[\\u{4e00}-\\u{9fff}]{12,128}") {
            prop_assert_eq!(judge(&password), Ok(()));
        }
    }
}
