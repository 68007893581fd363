//! The rules for new passwords: a minimum length, and none of the commonly guessed ones (NIST SP 800-63B-4, section
//! 3.1.1.2). There are no rules about kinds of characters.

use std::{path::Path, sync::Arc};

use events::{EmailAddress, fold_text};
use zeroize::Zeroizing;

use super::{
    Password,
    breached_passwords::{BreachedPasswords, UnusableFile},
    common_passwords::is_common,
    pattern::{is_repeated, is_sequence},
};

/// The minimum of SP 800-63B-4 where the password is the only factor.
pub(crate) const DEFAULT_MIN_CHARACTERS: usize = 15;
/// The allowed values of the minimum: SP 800-63B-4 requires 8 where there is a second factor.
pub(crate) const MIN_CHARACTERS_RANGE: std::ops::RangeInclusive<usize> = 8..=64;
const MAX_CHARACTERS: usize = 128;
/// The letters and digits that a password needs besides words that are obvious for this account.
const OWN_CHARACTERS: usize = 8;
/// Shorter words are ignored, because they occur in other words by chance.
const MIN_WORD: usize = 3;
const PRODUCT: &str = "taskledger";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Weakness {
    #[error("must have at least {0} characters")]
    TooShort(usize),
    #[error("must have at most {MAX_CHARACTERS} characters")]
    TooLong,
    #[error("is one of the passwords that are guessed first")]
    TooCommon,
    #[error("must not be a character or a short pattern again and again")]
    Repeated,
    #[error("must not be a run along the keyboard, the alphabet or the digits")]
    Sequence,
    #[error("must not be made of the e-mail address or the name of this service")]
    ContainsAddress,
    #[error("was found in a breach of another service")]
    Breached,
}

impl Weakness {
    /// The slug that clients see.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::TooShort(_) => "too-short",
            Self::TooLong => "too-long",
            Self::TooCommon => "too-common",
            Self::Repeated => "repeated",
            Self::Sequence => "sequence",
            Self::ContainsAddress => "contains-address",
            Self::Breached => "breached",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Policy {
    min_characters: usize,
    breached: Option<Arc<BreachedPasswords>>,
}

impl Policy {
    /// Requires `min_characters`, and refuses passwords in the file `breached`.
    pub(crate) fn open(min_characters: usize, breached: Option<&Path>) -> Result<Self, UnusableFile> {
        let breached = breached.map(BreachedPasswords::open).transpose()?.map(Arc::new);
        Ok(Self { min_characters, breached })
    }

    /// Checks `password` for the account with this address against all rules except the file of breached passwords.
    /// Characters are Unicode scalar values of the NFC form.
    pub(crate) fn check(&self, password: &Password, email: Option<&EmailAddress>) -> Result<(), Weakness> {
        let normalized = password.normalized();
        match normalized.chars().count() {
            count if count < self.min_characters => return Err(Weakness::TooShort(self.min_characters)),
            count if count > MAX_CHARACTERS => return Err(Weakness::TooLong),
            _ => {}
        }
        let lowercase = Zeroizing::new(normalized.to_lowercase());
        let characters: Zeroizing<Vec<char>> = Zeroizing::new(lowercase.chars().collect());
        if is_common(&lowercase) {
            Err(Weakness::TooCommon)
        } else if is_repeated(&characters, self.min_characters) {
            Err(Weakness::Repeated)
        } else if is_sequence(&characters) {
            Err(Weakness::Sequence)
        } else if is_about(&normalized, email) {
            Err(Weakness::ContainsAddress)
        } else {
            Ok(())
        }
    }

    /// Whether `password` is in the file of breached passwords, if there is one.
    pub(crate) async fn is_breached(&self, password: &Arc<Password>) -> Result<bool, UnusableFile> {
        match &self.breached {
            Some(breached) => breached.contain(password).await,
            None => Ok(false),
        }
    }
}

/// Whether `password` contains the whole address, or consists mostly of its parts and the name of the product.
fn is_about(password: &str, email: Option<&EmailAddress>) -> bool {
    if email.is_some_and(|email| email.is_part_of(password)) {
        return true;
    }
    let parts = email.map(EmailAddress::parts).unwrap_or_default();
    let mut rest = Zeroizing::new(fold_text(password));
    let whole = rest.len();
    for word in parts.into_iter().chain([PRODUCT]) {
        if word.chars().count() >= MIN_WORD {
            rest = Zeroizing::new(rest.replace(word, ""));
        }
    }
    rest.len() < whole && rest.chars().filter(|c| c.is_alphanumeric()).count() < OWN_CHARACTERS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(password: &str) -> Result<(), Weakness> {
        judge_with(password, DEFAULT_MIN_CHARACTERS)
    }

    fn judge_with(password: &str, min_characters: usize) -> Result<(), Weakness> {
        judge_for("Lovelace@example.com", password, min_characters)
    }

    fn judge_for(email: &str, password: &str, min_characters: usize) -> Result<(), Weakness> {
        let email = EmailAddress::parse(email).unwrap();
        let policy = Policy::open(min_characters, None).unwrap();
        policy.check(&Password::new(password), Some(&email))
    }

    fn different(count: usize) -> String {
        ('\u{4e00}'..).take(count).collect()
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(judge("fourteen chars"), Err(Weakness::TooShort(15)));
        assert_eq!(judge("fifteen chars !"), Ok(()));
        assert_eq!(judge(&different(14)), Err(Weakness::TooShort(15)));
        assert_eq!(judge(&different(15)), Ok(()));
        assert_eq!(judge(&different(128)), Ok(()));
        assert_eq!(judge(&different(129)), Err(Weakness::TooLong));
        assert_eq!(judge_with("8 chars!", 8), Ok(()));
        assert_eq!(judge_with("7 chars", 8), Err(Weakness::TooShort(8)));
    }

    #[test]
    fn composed_and_decomposed_letters_count_alike() {
        let letters = "aceg\u{131}knoprsuyz";
        let accented: String = letters.chars().flat_map(|c| [c, '\u{301}']).collect();
        let composed = Password::new(&accented).normalized().chars().count();
        assert!(composed < 30, "most of them compose");
        assert_eq!(judge(&"e\u{301}x".repeat(7)), Err(Weakness::TooShort(15)));
        assert_eq!(judge(&accented), Ok(()));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case_and_as_a_whole() {
        for password in ["passwordpassword", "PassWordPassWord", "1QAZ2wsx3edc4rfv", "perasperaadastra"] {
            assert_eq!(judge(password), Err(Weakness::TooCommon), "{password}");
        }
        assert_eq!(judge_with("qwertyuiop123", 8), Err(Weakness::TooCommon));
        for password in [
            "correct horse battery staple",
            "plum-tractor-canyon",
            "passwords are a nuisance",
            "admin 7402 8831 9964 1157 3390 6612",
            "dragon-84129734129734908412973412973490",
        ] {
            assert_eq!(judge(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn what_one_rule_makes_is_refused() {
        for (password, weakness) in [
            ("§§§§§§§§§§§§§§§", Weakness::Repeated),
            ("               ", Weakness::Repeated),
            (
                "\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}",
                Weakness::Repeated,
            ),
            ("Trustno1trustNO1", Weakness::Repeated),
            ("ZYXWVUTSRQPONMLK", Weakness::Sequence),
            ("987654321098765", Weakness::Sequence),
        ] {
            assert_eq!(judge(password), Err(weakness), "{password}");
        }
    }

    #[test]
    fn the_address_and_its_parts_are_refused_in_any_case() {
        for password in [
            "xx lovelace@EXAMPLE.com",
            "lovelace-lovelace",
            "Lovelace.1815!!",
            "lovelace example.com",
            "my taskledger!!!",
        ] {
            assert_eq!(judge(password), Err(Weakness::ContainsAddress), "{password}");
        }
        for password in ["lovelace is a fine name", "taskledger was my idea"] {
            assert_eq!(judge(password), Ok(()), "{password}");
        }
        assert_eq!(judge_for("al@example.com", "alalong the canal", 15), Ok(()));
    }

    #[test]
    fn an_address_is_refused_in_every_spelling_of_its_domain() {
        for (address, domain) in [
            ("ada.lovelace@faß.example", "xn--fa-hia.example"),
            ("ada.lovelace@φιλος.example", "xn--uxaemmq.example"),
            ("ada.lovelace@bücher.example", "xn--bcher-kva.example"),
        ] {
            let (_, written) = address.split_once('@').unwrap();
            for password in [
                address.to_owned(),
                address.to_uppercase(),
                format!("ada.lovelace@{domain}"),
                format!("{written} ada.lovelace"),
                format!("{domain} ada.lovelace"),
            ] {
                let checked = judge_for(address, &password, 15);
                assert_eq!(checked, Err(Weakness::ContainsAddress), "{password}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_password_makes_the_rules_fail(password in "\\PC{0,140}") {
            let _ = judge(&password);
        }
    }
}
