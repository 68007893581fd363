//! The table of invisible characters, for every check that they could deceive.

/// Default-ignorable code points (Unicode 16, `DerivedCoreProperties.txt`) in ranges, and characters that fonts
/// draw as nothing though the standard does not call them ignorable. In order.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    // The Braille pattern without dots.
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    // The null note head of musical notation, then its format characters.
    ('\u{1d159}', '\u{1d159}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether `c` leaves no mark on a page: white space, a control character, or one that is drawn as nothing.
pub fn is_invisible(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_ignorable(c)
}

/// Whether `c` is drawn as nothing and takes no room, so that two texts that differ in it look the same. White
/// space and control characters are not among them.
pub fn is_ignorable(c: char) -> bool {
    INVISIBLE
        .binary_search_by(|(first, last)| match (*first > c, *last < c) {
            (true, _) => std::cmp::Ordering::Greater,
            (_, true) => std::cmp::Ordering::Less,
            (false, false) => std::cmp::Ordering::Equal,
        })
        .is_ok()
}

/// Whether `c` turns the direction of the text after it (embeddings, overrides and isolates of the Unicode
/// Bidirectional Algorithm), so that it can make one text look like another. The marks of direction (U+061C, U+200E,
/// U+200F) are not among them: they turn nothing but themselves.
pub const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.is_sorted_by(|one, next| one.1 < next.0));
    }

    #[test]
    fn knows_what_cannot_be_seen() {
        for c in [
            ' ',
            '\t',
            '\0',
            '\u{a0}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            assert!(is_invisible(c), "U+{:04X}", u32::from(c));
        }
        for c in ['a', '0', '.', '\u{301}', 'ß', 'א', '가', '日', '🦀', '\u{2801}', '\u{fffd}'] {
            assert!(!is_invisible(c), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn what_turns_the_direction_is_invisible() {
        for c in ('\u{2000}'..'\u{2100}').filter(|c| turns_direction(*c)) {
            assert!(is_ignorable(c));
        }
    }
}
