//! Folding of text for searching and sorting, the same for what is stored and for what is asked.

use unicode_normalization::UnicodeNormalization;

/// `text` without the differences that a reader does not see as such: compatibility forms (Unicode NFKC) and
/// case. Works in any script; folding twice changes nothing more.
///
/// Going through upper case brings together what has one capital form: `ß` and `ss`, `ς` and `σ`.
#[must_use]
pub fn fold_text(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.nfkc().flat_map(char::to_lowercase);
    lower
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fold_text;

    const LAST_CASED_PLANE: u32 = 0x1_FFFF;

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
            assert_eq!(
                fold_text(&upper),
                fold_text(&c.to_string()),
                "U+{:04X}",
                u32::from(c)
            );
        }
    }
}
