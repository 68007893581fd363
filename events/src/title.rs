//! The title of a task.

use crate::{InvalidText, line};

/// 1 to 200 characters on one line, see [`line()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// The most characters that a title may have.
    pub const MAX: usize = 200;

    /// Trims and checks the text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        line(text, Self::MAX).map(Self)
    }

    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_trimmed() {
        assert_eq!(Title::parse(" \u{a0}Buy milk\n").unwrap().as_str(), "Buy milk");
    }

    #[test]
    fn counts_characters_not_bytes() {
        assert!(Title::parse(&"ß".repeat(200)).is_ok());
        assert!(Title::parse(&"🦀".repeat(200)).is_ok());
        assert_eq!(
            Title::parse(&"ß".repeat(201)),
            Err(InvalidText::TooLong { max: 200, found: 201 })
        );
    }

    #[test]
    fn is_counted_after_trimming() {
        assert!(Title::parse(&format!("   {}   ", "a".repeat(200))).is_ok());
    }

    #[test]
    fn needs_something_left() {
        for empty in ["", " ", "\t\n", "\u{2003}", "\u{200b}", "\u{2800}", "\u{202e}"] {
            assert_eq!(Title::parse(empty), Err(InvalidText::Empty), "{empty:?}");
        }
    }

    #[test]
    fn has_no_control_characters() {
        for control in ['\0', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{9f}'] {
            assert_eq!(
                Title::parse(&format!("a{control}b")),
                Err(InvalidText::ControlCharacter(control))
            );
        }
    }
}
