//! The lines of iCalendar (RFC 5545, section 3): folding, parameters, escapes.

use std::collections::BTreeMap;

/// The most bytes of a line, without its line break.
const MAX_BYTES: usize = 75;

/// A line of content: a property with its parameters and its value, which is still escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) value: String,
}

/// Folds a line into several if necessary, each with its line break.
pub(crate) fn folded(line: &str) -> String {
    let mut folded = String::with_capacity(line.len() + line.len() / 40 + 2);
    let mut bytes = 0;
    for character in line.chars() {
        if bytes + character.len_utf8() > MAX_BYTES {
            folded.push_str("\r\n ");
            bytes = 1;
        }
        folded.push(character);
        bytes += character.len_utf8();
    }
    folded.push_str("\r\n");
    folded
}

/// Unfolds the lines of a text. Each has the number of its first line, from 1. They are bytes, because some programs
/// fold in the middle of a character.
pub(crate) fn unfolded(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut lines: Vec<(u64, Vec<u8>)> = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line.split_first(), lines.last_mut()) {
            (Some((b' ' | b'\t', rest)), Some((_, last))) => last.extend_from_slice(rest),
            (Some(_), _) => lines.push((number, line.to_vec())),
            (None, _) => {}
        }
    }
    lines
}

impl Property {
    /// Parses an unfolded line; `None` when it is invalid.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut in_quotes = false;
        // Quoted parts may have colons and semicolons.
        let mut ends = line.char_indices().filter(|(_, character)| {
            in_quotes ^= *character == '"';
            !in_quotes && matches!(character, ':' | ';')
        });
        let mut parts = Vec::new();
        let mut start = 0;
        let value = loop {
            let (at, character) = ends.next()?;
            parts.push(&line[start..at]);
            start = at + 1;
            if character == ':' {
                break &line[start..];
            }
        };
        let (name, parameters) = parts.split_first()?;
        let parameter = |part: &&str| {
            let (name, value) = part.split_once('=')?;
            Some((name.to_uppercase(), value.trim_matches('"').to_owned()))
        };
        Some(Self {
            name: name.to_uppercase(),
            parameters: parameters.iter().filter_map(parameter).collect(),
            value: value.to_owned(),
        })
        .filter(|property| !property.name.is_empty())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// Escapes a text as the value of a property.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,")
        .replace("\r\n", "\\n")
        .replace(['\n', '\r'], "\\n")
}

/// Unescapes a value.
pub(crate) fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().map_or('\\', escape)),
            other => text.push(other),
        }
    }
    text
}

/// The meaning of a character after a backslash.
pub(crate) fn escape(character: char) -> char {
    match character {
        'n' | 'N' => '\n',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_folded_and_escaped_comes_back(text in "\\PC{0,300}") {
            let folded = folded(&format!("SUMMARY:{}", escaped(&text)));
            prop_assert!(folded.lines().all(|line| line.len() <= MAX_BYTES));
            let lines = unfolded(folded.as_bytes());
            prop_assert_eq!(lines.len(), 1);
            let property = Property::parse(&lines[0].1).unwrap();
            prop_assert_eq!(unescaped(&property.value), text);
        }

        #[test]
        fn no_line_makes_it_panic(line in any::<Vec<u8>>()) {
            Property::parse(&line);
            unfolded(&line);
        }
    }

    #[test]
    fn parameters_may_be_quoted() {
        let property =
            Property::parse(br#"due;tzid="Europe/Paris;x:y";VALUE=date-time:20261201T090000"#).unwrap();
        assert_eq!((&*property.name, &*property.value), ("DUE", "20261201T090000"));
        assert_eq!(property.parameter("TZID"), Some("Europe/Paris;x:y"));
        assert_eq!(property.parameter("VALUE"), Some("date-time"));
        assert_eq!(Property::parse(b"no colon"), None);
        assert_eq!(Property::parse(b":no name"), None);
    }
}
