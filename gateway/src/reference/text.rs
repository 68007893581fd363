//! Escapes text in HTML.

/// Escapes `text` for an element or an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            _ => html.push(character),
        }
    }
    html
}

/// Renders the one piece of Markdown that descriptions use: `code` in backquotes.
pub(super) fn prose(markdown: &str) -> String {
    let mut html = String::new();
    for (place, piece) in markdown.split('`').enumerate() {
        if place % 2 == 1 {
            html.push_str(&format!("<code>{}</code>", escaped(piece)));
        } else {
            html.push_str(&escaped(piece));
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_an_element() {
        assert_eq!(prose("a < `b > \"c\"` & d"), "a &lt; <code>b &gt; &quot;c&quot;</code> &amp; d");
    }
}
