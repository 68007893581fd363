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
    fn is_a_line_of_200_characters_at_most() {
        assert_eq!(Title::parse(" \u{a0}Buy milk\n").unwrap().as_str(), "Buy milk");
        for title in ["ß".repeat(200), "🦀".repeat(200), format!("   {}   ", "a".repeat(200))] {
            assert!(Title::parse(&title).is_ok(), "{title}");
        }
        assert_eq!(Title::parse(&"ß".repeat(201)), Err(InvalidText::TooLong { max: 200, found: 201 }));
    }
}
