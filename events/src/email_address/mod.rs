//! E-mail addresses: which texts are valid, and when two of them are the same address. Only this file knows these
//! rules.

use std::{borrow::Cow, fmt};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use crate::{fold_text, is_ignorable};

/// The longest address that mail can be sent to (RFC 5321, section 4.5.3.1.3), in octets.
const MAX_OCTETS: usize = 254;
/// The longest part before the `@` (RFC 5321, section 4.5.3.1.1), in octets. A domain's labels have 63 at most.
const MAX_LOCAL_OCTETS: usize = 64;
/// The longest text that is parsed, in octets. No spelling of a valid address is longer.
const MAX_WRITTEN_OCTETS: usize = 4 * MAX_OCTETS;

/// An address as its owner wrote it, without what nobody sees, and the form in which addresses are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress {
    written: String,
    canonical: String,
    /// As people read it, folded: the form that other folded texts are compared with.
    folded: String,
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
    /// Reads an address. International addresses (RFC 6531) and hosts without a dot are accepted. Quoted local parts
    /// and domain literals (`@[::1]`) are not. Invisible characters are no part of it: nobody can tell two addresses
    /// apart that differ in them. Whether mail can be delivered is not checked.
    ///
    /// # Errors
    /// When the text is no address, or too long for one.
    pub fn parse(text: &str) -> Result<Self, NotAnAddress> {
        if text.trim().len() > MAX_WRITTEN_OCTETS {
            return Err(NotAnAddress::TooLong);
        }
        let visible = visible(text);
        let written = visible.trim();
        if written.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(NotAnAddress::Malformed);
        }
        let (local, domain) = written.split_once('@').ok_or(NotAnAddress::Malformed)?;
        let local = canonical_local(local)?;
        let domain = Uts46::new()
            .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| NotAnAddress::Malformed)?;
        let canonical = format!("{local}@{domain}");
        if local.len() > MAX_LOCAL_OCTETS || canonical.len() > MAX_OCTETS {
            return Err(NotAnAddress::TooLong);
        }
        Ok(Self {
            written: written.to_owned(),
            folded: format!("{local}@{}", fold_text(&unicode_domain(&domain))),
            canonical,
        })
    }

    /// As its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The form in which addresses are compared: the local part folded ([`fold_text`]), because mail providers treat
    /// `Ada@` and `ada@` alike and people write both; the domain as DNS asks for it (Unicode Technical Standard 46).
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// What a search looks into: the address as people read it, folded, and the canonical form if that is something
    /// else.
    pub fn search_text(&self) -> String {
        if self.folded == self.canonical {
            self.canonical.clone()
        } else {
            format!("{} {}", self.folded, self.canonical)
        }
    }

    /// The local part, and the domain in its two spellings, as they are in a text that [`fold_text`] has folded.
    pub fn parts(&self) -> [&str; 3] {
        let (local, domain) = self.folded.split_once('@').unwrap_or_default();
        let (_, ascii) = self.canonical.split_once('@').unwrap_or_default();
        [local, domain, ascii]
    }

    /// Whether `text` contains the address, as it was written or in either spelling of its domain, in any case.
    pub fn is_part_of(&self, text: &str) -> bool {
        let text = folded(text);
        let forms = [&self.folded, &self.canonical, &folded(&self.written)];
        forms.into_iter().any(|form| text.contains(form.as_str()))
    }
}

/// Whether `text` contains an e-mail address in any spelling. Used for texts that must not identify a person.
pub fn holds_address(text: &str) -> bool {
    let folded = fold_text(text);
    let mut words = folded.split(|c: char| c.is_whitespace() || "<>()[]\"',;:".contains(c));
    words.any(|word| EmailAddress::parse(word.trim_end_matches('.')).is_ok())
}

/// Part of an address, to be searched for in [`EmailAddress::search_text`]: folded, as the addresses are.
pub fn fold_part_of_address(text: &str) -> String {
    // Parsed before it is folded: folding a domain can make another domain of it.
    EmailAddress::parse(text).map_or_else(|_| folded(text), |address| address.folded)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// `text` in the form in which it is compared with addresses and their parts: without what nobody sees, folded, and
/// with an ordinary full stop in the place of the ideographic one, which separates labels as well.
fn folded(text: &str) -> String {
    fold_text(visible(text).trim()).replace('\u{3002}', ".")
}

/// `text` without characters that are drawn as nothing.
fn visible(text: &str) -> Cow<'_, str> {
    match text.contains(is_ignorable) {
        true => text.replace(is_ignorable, "").into(),
        false => text.into(),
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
mod tests;
