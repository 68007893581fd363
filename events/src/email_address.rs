//! E-mail addresses: what is one, and when two texts are the same one. The only place that knows either.

use std::{borrow::Cow, fmt};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use crate::{fold_text, is_ignorable};

/// The longest address that mail can be sent to (RFC 5321, section 4.5.3.1.3), in octets.
const MAX_OCTETS: usize = 254;
/// The longest part before the `@` (RFC 5321, section 4.5.3.1.1), in octets. A domain's labels have 63 at most.
const MAX_LOCAL_OCTETS: usize = 64;
/// The longest text that is looked at: no spelling of an address needs more.
const MAX_WRITTEN_OCTETS: usize = 4 * MAX_OCTETS;

/// An address as its owner wrote it, trimmed, and the form in which addresses are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress {
    written: String,
    canonical: String,
    unicode: String,
}

/// The text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// More than 254 octets, or more than 64 before the `@`.
    #[error("must have at most 254 bytes, 64 of them before the @")]
    TooLong,
    /// It is no e-mail address at all.
    #[error("must be an address such as ada@example.com")]
    Malformed,
}

impl EmailAddress {
    /// Reads an address. Whether mail arrives there is not to be judged here. International addresses (RFC 6531) and
    /// hosts without a dot are taken; quoted local parts, domain literals (`@[::1]`) and characters that nobody sees
    /// are not.
    ///
    /// # Errors
    /// When the text is no address, or too long for one.
    pub fn parse(text: &str) -> Result<Self, NotAnAddress> {
        let written = text.trim();
        if written.len() > MAX_WRITTEN_OCTETS {
            return Err(NotAnAddress::TooLong);
        }
        if written.contains(|c: char| c.is_whitespace() || c.is_control() || is_ignorable(c)) {
            return Err(NotAnAddress::Malformed);
        }
        let (local, domain) = written.split_once('@').ok_or(NotAnAddress::Malformed)?;
        let local = canonical_local(local)?;
        let domain = Uts46::new()
            .to_ascii(
                domain.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::CheckFirstLast,
                DnsLength::Verify,
            )
            .map_err(|_| NotAnAddress::Malformed)?;
        let canonical = format!("{local}@{domain}");
        if local.len() > MAX_LOCAL_OCTETS || canonical.len() > MAX_OCTETS {
            return Err(NotAnAddress::TooLong);
        }
        Ok(Self {
            written: written.to_owned(),
            unicode: format!("{local}@{}", unicode_domain(&domain)),
            canonical,
        })
    }

    /// As its owner wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The form in which addresses are compared: the local part folded ([`fold_text`]), because no mailbox provider
    /// tells `Ada@` from `ada@` and people write both; the domain as DNS asks for it (Unicode Technical Standard 46).
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// What a search looks into: the canonical form with the domain as people read it, and as DNS has it if that is
    /// something else.
    #[must_use]
    pub fn search_text(&self) -> String {
        if self.unicode == self.canonical {
            self.canonical.clone()
        } else {
            format!("{} {}", self.unicode, self.canonical)
        }
    }

    /// Whether `text` contains the address, in either spelling of its domain and in any case.
    #[must_use]
    pub fn is_part_of(&self, text: &str) -> bool {
        let folded = fold_text(text);
        folded.contains(&self.canonical) || folded.contains(&self.unicode)
    }
}

/// Part of an address, to be searched for in [`EmailAddress::search_text`]: folded, as the addresses are.
#[must_use]
pub fn fold_part_of_address(text: &str) -> String {
    let folded = fold_text(text.trim());
    match EmailAddress::parse(&folded) {
        Ok(address) => address.unicode,
        Err(_) => folded.replace('\u{3002}', "."),
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The local part in the form in which it is compared, if it is a dot-atom (RFC 5321, section 4.1.2, with the
/// characters that RFC 6531, section 3.3, adds).
fn canonical_local(local: &str) -> Result<Cow<'_, str>, NotAnAddress> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let folded: Cow<'_, str> = if local.chars().all(is_plain) {
        local.into()
    } else {
        let folded = fold_text(local);
        // What was composed must still be so after folding, or one address would have two forms.
        folded.nfkc().collect::<String>().into()
    };
    let bad = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || is_ignorable(c)
            || (c.is_ascii() && !c.is_ascii_alphanumeric() && !"!#$%&'*+-/=?^_`{|}~.".contains(c))
    };
    if folded.contains(bad) || folded.split('.').any(str::is_empty) {
        return Err(NotAnAddress::Malformed);
    }
    Ok(folded)
}

fn unicode_domain(ascii: &str) -> String {
    let (domain, judged) =
        Uts46::new().to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    judged.map_or_else(|_| ascii.to_owned(), |()| domain.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        EmailAddress::parse(text)
            .unwrap_or_else(|error| panic!("{text:?} {error}"))
            .canonical()
            .to_owned()
    }

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
            "ada@r3---sn.example.com",
        ] {
            assert_eq!(
                EmailAddress::parse(text).unwrap().as_str(),
                text.trim(),
                "{text:?}"
            );
        }
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
            "<script>@x.org",
            "\"ada\"@example.com",
            "ada..l@example.com",
            ".ada@example.com",
            "ada.@example.com",
            "ada@-x-.org",
            "ada@x-.org",
            "ada@[::1]",
            "ada@[192.0.2.1]",
            "ada@exa_mple.com",
            "ada@xn--\u{0}.com",
            "ada@xn--a.com",
            // U+FF20 is a full-width commercial at.
            "ada＠b@example.com",
            "ada@b＠example.com",
        ] {
            assert_eq!(
                EmailAddress::parse(text),
                Err(NotAnAddress::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refuses_characters_that_nobody_sees() {
        for invisible in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180b}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{206f}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff0}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            for text in [
                format!("z{invisible}@example.org"),
                format!("z@exam{invisible}ple.org"),
            ] {
                assert_eq!(
                    EmailAddress::parse(&text),
                    Err(NotAnAddress::Malformed),
                    "U+{:04X}",
                    u32::from(invisible)
                );
            }
        }
    }

    #[test]
    fn lengths_are_counted_in_octets() {
        let domain = ["a".repeat(63), "b".repeat(63), "c".repeat(60)].join(".");
        let local = |octets: usize| "l".repeat(octets);
        assert_eq!(canonical(&format!("{}@{domain}", local(64 - 2))).len(), 251);
        assert!(EmailAddress::parse(&format!("{}@{domain}", local(64))).is_ok());
        let too_long = Err(NotAnAddress::TooLong);
        assert_eq!(
            EmailAddress::parse(&format!("{}@{domain}d", local(64))).map(drop),
            Ok(())
        );
        assert_eq!(
            EmailAddress::parse(&format!("{}@{domain}dd", local(64))),
            too_long
        );
        assert_eq!(EmailAddress::parse(&format!("{}@b", local(65))), too_long);
        assert_eq!(EmailAddress::parse(&format!("{}@b", "ж".repeat(33))), too_long);
        assert_eq!(
            EmailAddress::parse(&format!("a@{}.org", "x".repeat(64))),
            Err(NotAnAddress::Malformed)
        );
        assert_eq!(EmailAddress::parse(&"x".repeat(2_000)), too_long);
    }

    #[test]
    fn the_spellings_of_one_address_are_one_address() {
        for same in [
            &[
                "ada@example.com",
                "ADA@Example.COM",
                "ａｄａ@example.com",
                " ada@example.com",
            ][..],
            &[
                "u@bücher.example",
                "U@BÜCHER.example",
                "u@xn--bcher-kva.example",
                "u@XN--BCHER-KVA.EXAMPLE",
                "u@bu\u{308}cher.example",
                "u@bücher。example",
                "u@bücher．example",
            ],
            &["a@пример.рф", "a@ПРИМЕР.РФ", "a@xn--e1afmkfd.xn--p1ai"],
            &[
                "z@example.org",
                "z@example。org",
                "z@example｡org",
                "z@ｅxample.org",
            ],
            &["σας@example.org", "ΣΑΣ@example.org", "σασ@example.org"],
            &[
                "jürgen@example.org",
                "JÜRGEN@example.org",
                "ju\u{308}rgen@example.org",
            ],
        ] {
            for text in same {
                assert_eq!(canonical(text), canonical(same[0]), "{text}");
            }
        }
        assert_ne!(canonical("ada.l@example.com"), canonical("adal@example.com"));
    }

    #[test]
    fn plain_addresses_keep_the_form_that_their_claims_were_made_with() {
        for (text, form) in [
            ("ada@example.com", "ada@example.com"),
            (
                "Ada.Lovelace+Tasks@Mail.Example.co.uk",
                "ada.lovelace+tasks@mail.example.co.uk",
            ),
            ("O'Brien@example.com", "o'brien@example.com"),
            ("a@localhost", "a@localhost"),
        ] {
            assert_eq!(canonical(text), form);
        }
    }

    #[test]
    fn a_search_finds_either_spelling_of_a_domain() {
        let text = EmailAddress::parse("Ada@xn--bcher-kva.example")
            .unwrap()
            .search_text();
        for part in [
            "bücher",
            "BÜCHER",
            "xn--bcher",
            "ADA@",
            "ada@bücher.example",
            "ada@xn--bcher-kva.example",
        ] {
            assert!(text.contains(&fold_part_of_address(part)), "{part}: {text}");
        }
        assert_eq!(
            EmailAddress::parse("ada@example.com").unwrap().search_text(),
            "ada@example.com"
        );
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_an_address_that_is_its_own_form(text in "\\PC{0,40}@\\PC{1,40}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(address.as_str(), text.trim());
                prop_assert_eq!(address.canonical().matches('@').count(), 1);
                let again = EmailAddress::parse(address.canonical()).map(|again| again.canonical().to_owned());
                prop_assert_eq!(again.as_deref(), Ok(address.canonical()));
            }
        }

        #[test]
        fn case_makes_no_difference(local in "[a-z0-9+-]{1,20}", domain in "[a-z0-9]{1,10}\\.[a-z]{2,5}") {
            let lower = format!("{local}@{domain}");
            prop_assert_eq!(canonical(&lower), canonical(&lower.to_uppercase()));
        }
    }
}
