//! The description of a task.

use crate::{InvalidText, paragraphs};

/// Up to 10,000 characters in any number of lines, see [`paragraphs`]. It is not trimmed, and an empty description
/// differs from none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// The most characters that a description may have.
    pub const MAX: usize = 10_000;

    /// Checks the text.
    ///
    /// # Errors
    /// When it is too long or has a control character other than a tab or a line break.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        paragraphs(text, Self::MAX).map(Self)
    }

    /// The description as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kept_as_given_and_bounded_in_characters() {
        let lines = "  a\r\n\tb  ";
        assert_eq!(Description::parse(lines).unwrap().as_str(), lines);
        assert!(Description::parse(&"é".repeat(10_000)).is_ok());
        assert_eq!(
            Description::parse(&"é".repeat(10_001)),
            Err(InvalidText::TooLong { max: 10_000, found: 10_001 })
        );
    }
}
