//! One form for each path: percent-encoded characters that need no encoding are the plain ones (RFC 3986, section
//! 6.2.2.2).

use std::borrow::Cow;

use http::{Uri, uri::PathAndQuery};
use percent_encoding::percent_decode_str;

/// `uri` with its path in the form in which routes are looked up; `None` when it has it already.
///
/// Whatever else is encoded stays so: a slash that is encoded separates nothing, and no segment becomes `.` or `..`.
pub(crate) fn normalized(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains('%') {
        return None;
    }
    let segments: Vec<_> = uri.path().split('/').map(segment).collect();
    let mut text = segments.join("/");
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    // The same path with fewer characters is always valid.
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

fn segment(sent: &str) -> Cow<'_, str> {
    if !sent.contains('%') {
        return sent.into();
    }
    let mut pieces = sent.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let encoded = format!("%{}", piece.get(..2).unwrap_or_default());
        match percent_decode_str(&encoded).collect::<Vec<u8>>()[..] {
            [byte] if is_unreserved(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&piece[2..]);
            }
            _ => {
                plain.push('%');
                plain.push_str(piece);
            }
        }
    }
    match plain.as_str() {
        "." | ".." => sent.into(),
        _ => plain.into(),
    }
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_no_encoding_is_decoded() {
        for (sent, form) in [
            ("/%74asks", "/tasks"),
            ("/%54asks/%7e?a=%74", "/Tasks/~?a=%74"),
            ("/%2Ewell-known/%6a", "/.well-known/j"),
            ("/tasks%2fx/%2F", "/tasks%2fx/%2F"),
            ("/%2e/%2e%2E/%2e./a%2e", "/%2e/%2e%2E/%2e./a."),
            ("/%00%20%25%37%34", "/%00%20%2574"),
            ("/%2574", "/%2574"),
            ("/%/%7/%zz/%7é/%é4", "/%/%7/%zz/%7é/%é4"),
            ("/%c3%a9", "/%c3%a9"),
            ("http://a/%74", "http://a/t"),
        ] {
            let Ok(uri) = sent.parse::<Uri>() else { continue };
            let form: Uri = form.parse().unwrap();
            assert_eq!(normalized(&uri), Some(form), "{sent}");
        }
        assert_eq!(normalized(&Uri::from_static("/tasks?q=%74")), None);
    }
}
