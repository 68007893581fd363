//! Rules for texts from clients: which are accepted, how they are normalized, and how they are folded for searching
//! and sorting. Stored texts and search terms follow the same rules.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::invisible::{is_invisible, turns_direction};

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// It has no visible character.
    #[error("must not be empty, nor only white space and invisible characters")]
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
    /// An embedding, override or isolate of the Unicode Bidirectional Algorithm.
    #[error("must not contain the direction control U+{:04X}", u32::from(*.0))]
    DirectionControl(char),
}

impl InvalidText {
    /// A stable code of the mistake, for clients.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong { .. } => "too-long",
            Self::ControlCharacter(_) => "control-character",
            Self::DirectionControl(_) => "direction-control",
        }
    }
}

/// A text of one line, such as a title, a tag or a name: without white space around it, in Unicode NFC, 1 to `max`
/// characters of which one at least can be seen. Direction controls are refused, since what they turn would show in
/// the middle of other people's lines.
///
/// # Errors
/// What is wrong with it.
pub fn line(text: &str, max: usize) -> Result<String, InvalidText> {
    let text = text.trim();
    if text.chars().all(is_invisible) {
        return Err(InvalidText::Empty);
    }
    if let Some(control) = text.chars().find(|c| turns_direction(*c)) {
        return Err(InvalidText::DirectionControl(control));
    }
    accepted(text, max, |_| false)
}

/// A text of any number of lines, such as a description: in Unicode NFC, otherwise as given, at most `max`
/// characters. Tabs and line breaks are its only control characters.
///
/// # Errors
/// What is wrong with it.
pub fn paragraphs(text: &str, max: usize) -> Result<String, InvalidText> {
    accepted(text, max, |c| matches!(c, '\n' | '\r' | '\t'))
}

fn accepted(text: &str, max: usize, allowed: impl Fn(char) -> bool) -> Result<String, InvalidText> {
    if let Some(control) = text.chars().find(|c| c.is_control() && !allowed(*c)) {
        return Err(InvalidText::ControlCharacter(control));
    }
    let text = if is_nfc(text) { text.to_owned() } else { text.nfc().collect() };
    let found = text.chars().count();
    if found > max { Err(InvalidText::TooLong { max, found }) } else { Ok(text) }
}

/// `text` without differences that readers do not notice: compatibility forms (Unicode NFKC) and case. Works in any
/// script; folding twice changes nothing more.
///
/// Going through upper case brings together what has one capital form: `ß` and `ss`, `ς` and `σ`.
pub fn fold_text(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.nfkc().flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST_CASED_PLANE: u32 = 0x1_FFFF;

    #[test]
    fn a_line_is_trimmed_composed_and_visible() {
        assert_eq!(line(" A\u{308}rger\n", 5).unwrap(), "Ärger");
        assert_eq!(line("👨\u{200d}👩\u{200d}👧", 5).unwrap(), "👨\u{200d}👩\u{200d}👧");
        for empty in [
            "",
            " ",
            " \t",
            "\t\n",
            "\u{2003}",
            "\u{200b}",
            "\u{200e}",
            "\u{feff}",
            "\u{2060}",
            "\u{ad}",
            "\u{2800}",
            "\u{3164}",
            "\u{202e}",
            " \u{200b} \u{fe0f}\u{e0041}",
        ] {
            assert_eq!(line(empty, 9), Err(InvalidText::Empty), "{empty:?}");
        }
        for turned in ['\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'] {
            assert_eq!(line(&format!("a{turned}b"), 9), Err(InvalidText::DirectionControl(turned)));
        }
        for control in ['\0', '\t', '\n', '\r', '\u{1b}', '\u{1f}', '\u{7f}', '\u{9f}'] {
            let refused = Err(InvalidText::ControlCharacter(control));
            assert_eq!(line(&format!("a{control}b"), 9), refused);
        }
    }

    #[test]
    fn length_is_that_of_what_is_kept() {
        // U+0958 is kept as two characters, the letter and its dot.
        assert_eq!(line("\u{958}", 1), Err(InvalidText::TooLong { max: 1, found: 2 }));
        assert_eq!(line(&"e\u{301}".repeat(3), 3).unwrap(), "ééé");
    }

    #[test]
    fn paragraphs_are_kept_but_composed() {
        assert_eq!(paragraphs("  e\u{301}\r\n\t \u{202e}x", 20).unwrap(), "  é\r\n\t \u{202e}x");
        for text in ["", "日本語"] {
            assert_eq!(paragraphs(text, text.chars().count()).unwrap(), text);
        }
        for control in ['\0', '\u{1b}'] {
            let refused = Err(InvalidText::ControlCharacter(control));
            assert_eq!(paragraphs(&format!("a{control}b"), 9), refused);
        }
    }

    #[test]
    fn folds_case_and_compatibility_forms_in_any_script() {
        for (text, folded) in [
            ("", ""),
            ("Milk AND Honey", "milk and honey"),
            ("ÄRGER", "ärger"),
            ("A\u{308}rger", "ärger"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("ПРИВЕТ", "привет"),
            ("ﬁnal", "final"),
            ("ＦＵＬＬ", "full"),
            ("日本語", "日本語"),
            ("①²", "12"),
        ] {
            assert_eq!(fold_text(text), folded, "{text}");
        }
    }

    #[test]
    fn folding_twice_is_folding_once() {
        for c in (0..=LAST_CASED_PLANE).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            let once = fold_text(&text);
            assert_eq!(fold_text(&once), once, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn upper_and_lower_case_fold_alike() {
        for c in (0..=LAST_CASED_PLANE).filter_map(char::from_u32) {
            let upper: String = c.to_uppercase().collect();
            assert_eq!(fold_text(&upper), fold_text(&c.to_string()), "U+{:04X}", u32::from(c));
        }
    }
}
