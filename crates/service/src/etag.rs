//! Versions as entity tags, and the preconditions that clients build from them (RFC 9110, section 13).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::problem::Problem;

/// What `If-Match` asks of the current version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// No `If-Match`.
    None,
    /// `*`: that there is a current version.
    Any,
    /// That the current version is one of these; empty when only tags were named that no version has.
    Versions(Vec<u64>),
}

impl Precondition {
    /// Whether the command may go ahead at `version`.
    #[must_use]
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::None | Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

/// The strong entity tag of a version: `"3"`.
#[must_use]
pub fn etag(version: u64) -> HeaderValue {
    // Digits between quotes are always a valid header value.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// Reads `If-Match`. Comparison is strong: weak tags match nothing.
///
/// # Errors
/// `400 bad-parameter` when it is not a list of entity tags.
pub fn if_match(headers: &HeaderMap) -> Result<Precondition, Problem> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(Precondition::None);
    }
    match tags(headers, &header::IF_MATCH) {
        Some(Tags::Any) => Ok(Precondition::Any),
        Some(Tags::List(tags)) => {
            let strong = tags.iter().filter(|tag| !tag.weak).filter_map(|tag| tag.version);
            Ok(Precondition::Versions(strong.collect()))
        }
        None => Err(Problem::bad_parameter(
            "If-Match",
            "expected `*` or entity tags such as \"3\"",
        )),
    }
}

/// Whether `If-None-Match` names `version`, so that a query may answer `304`. Comparison is weak; a header
/// that cannot be read names nothing.
#[must_use]
pub fn if_none_match(headers: &HeaderMap, version: u64) -> bool {
    match tags(headers, &header::IF_NONE_MATCH) {
        Some(Tags::Any) => true,
        Some(Tags::List(tags)) => tags.iter().any(|tag| tag.version == Some(version)),
        None => false,
    }
}

enum Tags {
    Any,
    List(Vec<Tag>),
}

struct Tag {
    weak: bool,
    /// `None` for a tag that no version has.
    version: Option<u64>,
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = value.to_str().ok()?.trim();
        if rest == "*" {
            return Some(Tags::Any);
        }
        while !rest.is_empty() {
            if let Some(next) = rest.strip_prefix(',') {
                rest = next.trim_start();
                continue;
            }
            let (weak, opaque) = match rest.strip_prefix("W/") {
                Some(opaque) => (true, opaque),
                None => (false, rest),
            };
            let (tag, next) = opaque.strip_prefix('"')?.split_once('"')?;
            rest = next.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
            // `"03"` is another tag than `"3"`.
            let version = tag
                .parse::<u64>()
                .ok()
                .filter(|version| version.to_string() == tag);
            list.push(Tag { weak, version });
        }
    }
    if list.is_empty() {
        None
    } else {
        Some(Tags::List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn if_match_is_strong() {
        let read = |values: &[&'static str]| if_match(&headers(header::IF_MATCH, values));
        assert_eq!(read(&[]).unwrap(), Precondition::None);
        assert_eq!(read(&["*"]).unwrap(), Precondition::Any);
        assert_eq!(read(&["\"3\""]).unwrap(), Precondition::Versions(vec![3]));
        assert_eq!(
            read(&["\"3\" , \"4\"", "\"5\""]).unwrap(),
            Precondition::Versions(vec![3, 4, 5])
        );
        assert_eq!(read(&["W/\"3\""]).unwrap(), Precondition::Versions(vec![]));
        assert_eq!(
            read(&["\"a,b\", \"03\", \"7\""]).unwrap(),
            Precondition::Versions(vec![7])
        );
        for bad in ["3", "\"3", "", "\"3\"4", "w/\"3\""] {
            assert_eq!(read(&[bad]).unwrap_err().code(), "bad-parameter", "{bad}");
        }
        assert!(!read(&["W/\"3\""]).unwrap().allows(3));
        assert!(read(&["\"3\""]).unwrap().allows(3));
        assert!(!read(&["\"3\""]).unwrap().allows(4));
    }

    #[test]
    fn if_none_match_is_weak_and_lenient() {
        let names = |values: &[&'static str], version| {
            if_none_match(&headers(header::IF_NONE_MATCH, values), version)
        };
        assert!(
            names(&["\"3\""], 3) && names(&["W/\"3\""], 3) && names(&["*"], 3) && names(&["\"1\", \"3\""], 3)
        );
        assert!(!names(&["\"3\""], 4) && !names(&["3"], 3) && !names(&[], 3));
        assert_eq!(etag(3), "\"3\"");
    }
}
