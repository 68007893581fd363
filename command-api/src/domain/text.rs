//! What titles, descriptions and tags have in common: length in characters, and no control characters.

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// More characters (Unicode scalar values) than allowed.
    #[error("must have at most {max} characters, has {found}")]
    TooLong {
        /// How many are allowed.
        max: usize,
        /// How many there are.
        found: usize,
    },
    /// A control character (Unicode general category Cc).
    #[error("must not contain the control character U+{:04X}", u32::from(*.0))]
    ControlCharacter(char),
}

/// `text` without white space around it, if it is one line of 1 to `max` characters.
pub(super) fn line(text: &str, max: usize) -> Result<String, InvalidText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidText::Empty);
    }
    bounded(text, max, |_| false)
}

/// `text` as it is, if it has at most `max` characters and no control characters but those `allowed`.
pub(super) fn bounded(text: &str, max: usize, allowed: impl Fn(char) -> bool) -> Result<String, InvalidText> {
    if let Some(control) = text.chars().find(|c| c.is_control() && !allowed(*c)) {
        return Err(InvalidText::ControlCharacter(control));
    }
    let found = text.chars().count();
    if found > max {
        Err(InvalidText::TooLong { max, found })
    } else {
        Ok(text.to_owned())
    }
}
