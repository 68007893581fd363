//! Joins several texts with commas; a comma or a backslash in a text is escaped with a backslash.

/// The texts in one.
pub(crate) fn join(texts: &[String]) -> String {
    let escaped: Vec<String> =
        texts.iter().map(|text| text.replace('\\', "\\\\").replace(',', "\\,")).collect();
    escaped.join(",")
}

/// Splits `text` at commas, and removes the spaces around the parts; `unescaped` decodes the character after a
/// backslash.
pub(crate) fn split(text: &str, unescaped: impl Fn(char) -> char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = parts.len() - 1;
        match character {
            ',' => parts.push(String::new()),
            '\\' => parts[last].push(characters.next().map_or('\\', &unescaped)),
            other => parts[last].push(other),
        }
    }
    let trimmed = parts.iter().map(|part| part.trim().to_owned());
    trimmed.filter(|part| !part.is_empty()).collect()
}
