//! An address: what is one, and when two are the same.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest address that mail can be sent to (RFC 5321, section 4.5.3.1.3), in characters.
const MAX_CHARACTERS: usize = 254;

/// An address as its owner wrote it, trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmailAddress(String);

/// The text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnAddress {
    /// More than 254 characters.
    #[error("must have at most 254 characters")]
    TooLong,
    /// Anything else.
    #[error("must be an address such as ada@example.com")]
    Malformed,
}

impl EmailAddress {
    /// Reads an address. Whether mail arrives there is not for us to judge, so this only refuses what cannot
    /// be one: it takes international addresses and hosts without a dot.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.trim();
        if text.chars().count() > MAX_CHARACTERS {
            return Err(NotAnAddress::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(NotAnAddress::Malformed)?;
        let bad_character = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
        let bad_in_domain = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-.:[]_".contains(c);
        let malformed = local.is_empty()
            || domain.contains('@')
            || text.contains(bad_character)
            || domain.contains(bad_in_domain)
            || domain.split('.').any(str::is_empty);
        // What normalization makes of it must still be one address, or two people could share a claim.
        let normalized = normalize(text);
        if malformed || normalized.matches('@').count() != 1 || normalized.contains(bad_character) {
            return Err(NotAnAddress::Malformed);
        }
        Ok(Self(text.to_owned()))
    }

    /// As its owner wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which two addresses are compared: NFKC (Unicode Annex 15), lowercase. The local part too:
    /// no mailbox provider tells `Ada@` from `ada@`, and people write both.
    pub(crate) fn normalized(&self) -> String {
        normalize(&self.0)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn normalize(text: &str) -> String {
    let folded = text.nfkc().collect::<String>().to_lowercase();
    // Lowercasing can leave a composed form that NFKC would write differently.
    folded.nfkc().collect()
}

/// Zero-width characters and marks of direction, with which two addresses could look the same.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_what_can_be_an_address() {
        for text in [
            "ada@example.com",
            " ada@example.com\t",
            "a@b",
            "ada.lovelace+tasks@mail.example.co.uk",
            "o'brien@example.com",
            "ада@пример.рф",
            "用户@例子.公司",
            "ada@[192.0.2.1]",
        ] {
            assert_eq!(
                EmailAddress::parse(text).unwrap().as_str(),
                text.trim(),
                "{text:?}"
            );
        }
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(242))).is_ok());
    }

    #[test]
    fn refuses_what_cannot() {
        for text in [
            "",
            " ",
            "ada",
            "@",
            "ada@",
            "@example.com",
            "ada@@example.com",
            "a@b@c",
            "ada lovelace@example.com",
            "ada@exam ple.com",
            "ada@example..com",
            "ada@.example.com",
            "ada@example.com.",
            "ada\u{0}@example.com",
            "ada@exa\nmple.com",
            "ada@example.com>",
            "ada@example,com",
            "a\u{200b}da@example.com",
        ] {
            assert_eq!(
                EmailAddress::parse(text),
                Err(NotAnAddress::Malformed),
                "{text:?}"
            );
        }
        let long = format!("{}@example.com", "a".repeat(243));
        assert_eq!(EmailAddress::parse(&long), Err(NotAnAddress::TooLong));
    }

    #[test]
    fn compares_without_case_and_without_compatibility_forms() {
        let same = [
            "ada@example.com",
            "ADA@Example.COM",
            "ａｄａ@example.com",
            " ada@example.com",
        ];
        for text in same {
            assert_eq!(EmailAddress::parse(text).unwrap().normalized(), "ada@example.com");
        }
        assert_ne!(
            EmailAddress::parse("ada.l@example.com").unwrap().normalized(),
            EmailAddress::parse("adal@example.com").unwrap().normalized(),
        );
    }

    #[test]
    fn refuses_what_normalization_would_make_two_addresses_of() {
        // U+FF20 is a full-width commercial at.
        assert_eq!(
            EmailAddress::parse("ada＠b@example.com"),
            Err(NotAnAddress::Malformed)
        );
    }

    proptest! {
        #[test]
        fn parsing_is_total_and_gives_back_what_was_written(text in "\\PC{0,300}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(address.as_str(), text.trim());
            }
        }

        #[test]
        fn case_makes_no_difference(local in "[a-z0-9.+-]{1,20}", domain in "[a-z0-9]{1,10}\\.[a-z]{2,5}") {
            let lower = format!("{local}@{domain}");
            let upper = lower.to_uppercase();
            prop_assert_eq!(
                EmailAddress::parse(&lower).unwrap().normalized(),
                EmailAddress::parse(&upper).unwrap().normalized()
            );
        }
    }
}
