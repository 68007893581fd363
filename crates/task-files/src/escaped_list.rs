//! Several texts in one, between commas; a comma or a backslash of a text has a backslash before it.

/// The texts in one.
pub(crate) fn join(texts: &[String]) -> String {
    let escaped: Vec<String> = texts
        .iter()
        .map(|text| text.replace('\\', "\\\\").replace(',', "\\,"))
        .collect();
    escaped.join(",")
}

/// The parts of `text` between commas, without the spaces around them; what comes after a backslash is `unescaped`.
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
