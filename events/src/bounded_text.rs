//! Text that others choose and that is kept beside an event: never longer than its type says.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize};

/// Text of at most `MAX` bytes. What is longer is cut at the last whole character that fits, also when it is read
/// from a log that an older release wrote, so that no text can outgrow a row, a message or a header.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct BoundedText<const MAX: usize>(String);

/// Why an admin does something to an account. It is about the person, and sealed under their key.
pub type AdminReason = BoundedText<2_000>;

impl<const MAX: usize> From<&str> for BoundedText<MAX> {
    fn from(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(MAX)].to_owned())
    }
}

impl<const MAX: usize> From<String> for BoundedText<MAX> {
    fn from(mut text: String) -> Self {
        text.truncate(text.floor_char_boundary(MAX));
        Self(text)
    }
}

impl<const MAX: usize> From<BoundedText<MAX>> for String {
    fn from(text: BoundedText<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> Deref for BoundedText<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for BoundedText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> PartialEq<str> for BoundedText<MAX> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl<const MAX: usize> PartialEq<&str> for BoundedText<MAX> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedText<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer).map(|text| Self::from(&*text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_two_characters() {
        assert_eq!(BoundedText::<5>::from("12345"), "12345");
        assert_eq!(BoundedText::<5>::from("123456".to_owned()), "12345");
        assert_eq!(BoundedText::<5>::from("123ß"), "123ß");
        assert_eq!(BoundedText::<4>::from("123ß"), "123");
        assert_eq!(BoundedText::<3>::from("🦀".to_owned()), "");
    }

    #[test]
    fn what_is_read_is_cut_as_well() {
        let long = format!("\"{}\\u00e9\"", "x".repeat(100_000));
        let read: BoundedText<55> = serde_json::from_str(&long).unwrap();
        assert_eq!(read, *"x".repeat(55));
        assert_eq!(serde_json::to_string(&read).unwrap().len(), 57);
    }
}
