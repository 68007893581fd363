//! W3C Trace Context: the `traceparent` of a request, kept when valid and made otherwise.

use events::Traceparent;
use http::{HeaderMap, HeaderValue};
use runtime::new_id;

use crate::headers::{TRACEPARENT, TRACESTATE};

tokio::task_local! {
    /// The `traceparent` of the request being served by this task.
    pub(crate) static CURRENT: Traceparent;
}

/// The `traceparent` of the request being served, if any, for requests to others on its behalf.
pub fn current_traceparent() -> Option<Traceparent> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The length of `00-` trace id `-` parent id `-` flags, in characters.
const LENGTH: usize = 55;

/// The request's `traceparent` if it is valid: the part of the known version. Additions of later versions are not
/// passed on (W3C Trace Context, section 2.2.4).
pub(crate) fn valid(headers: &HeaderMap) -> Option<Traceparent> {
    let mut sent = headers.get_all(&TRACEPARENT).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return None;
    };
    let text = value.to_str().ok().filter(|text| is_valid(text.as_bytes()))?;
    Some(format!("00{}", text.get(2..LENGTH)?).into())
}

/// The request's `traceparent`, or a new one, which is also put into the headers. A `tracestate` belongs to the
/// `traceparent` of its sender. It is dropped when that is missing or invalid (W3C Trace Context, processing model).
pub(crate) fn continue_or_begin(headers: &mut HeaderMap) -> Traceparent {
    let traceparent = valid(headers).unwrap_or_else(|| {
        headers.remove(&TRACESTATE);
        // A UUIDv7 ends with 62 random bits, as the standard requires for both ids.
        let (mut trace, mut span) = ([0; 32], [0; 32]);
        let trace = &*new_id().simple().encode_lower(&mut trace);
        let span = &new_id().simple().encode_lower(&mut span)[16..];
        ["00-", trace, "-", span, "-01"].concat().into()
    });
    // A valid traceparent is always valid in a header.
    if let Ok(value) = HeaderValue::from_str(&traceparent) {
        headers.insert(&TRACEPARENT, value);
    }
    traceparent
}

/// The trace id in a `traceparent`, if it is valid.
pub fn trace_id_of(traceparent: &str) -> Option<&str> {
    traceparent.get(3..35).filter(|_| is_valid(traceparent.as_bytes()))
}

/// The parent id in a `traceparent`, if it is valid: the span of the caller.
pub fn parent_id_of(traceparent: &str) -> Option<&str> {
    traceparent.get(36..52).filter(|_| is_valid(traceparent.as_bytes()))
}

/// `version "-" trace-id "-" parent-id "-" trace-flags`, lower-case hex; all-zero ids and version `ff` are
/// invalid. Later versions may append fields.
fn is_valid(value: &[u8]) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |bytes: &[u8]| bytes.iter().all(|b| *b == b'0');
    let Some((fixed, rest)) = value.split_at_checked(LENGTH) else {
        return false;
    };
    let dashes = fixed[2] == b'-' && fixed[35] == b'-' && fixed[52] == b'-';
    let (version, trace, parent, flags) = (&fixed[..2], &fixed[3..35], &fixed[36..52], &fixed[53..]);
    let tail = if version == b"00" { rest.is_empty() } else { rest.is_empty() || rest[0] == b'-' };
    dashes
        && hex(version)
        && version != b"ff"
        && hex(trace)
        && !zero(trace)
        && hex(parent)
        && !zero(parent)
        && hex(flags)
        && tail
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn keeps_a_valid_one_and_makes_a_valid_one() {
        let mut headers = HeaderMap::new();
        headers.insert(&TRACEPARENT, HeaderValue::from_static(GOOD));
        headers.insert(&TRACESTATE, HeaderValue::from_static("vendor=1"));
        let kept = continue_or_begin(&mut headers);
        assert_eq!(kept, GOOD);
        assert_eq!(trace_id_of(&kept), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(headers[&TRACESTATE], "vendor=1");
        headers.append(&TRACEPARENT, HeaderValue::from_static(GOOD));
        let made = continue_or_begin(&mut headers);
        assert_ne!(made, GOOD);
        assert!(is_valid(made.as_bytes()), "{made:?}");
        assert_eq!(headers[&TRACEPARENT].as_bytes(), made.as_bytes());
    }

    #[test]
    fn what_goes_with_a_trace_that_is_not_continued_is_dropped() {
        for traceparent in [None, Some("nonsense")] {
            let mut headers = HeaderMap::new();
            for value in ["vendor=1", "another=2"] {
                headers.append(&TRACESTATE, HeaderValue::from_static(value));
            }
            headers.extend(traceparent.map(|value| (TRACEPARENT.clone(), HeaderValue::from_static(value))));
            continue_or_begin(&mut headers);
            assert!(!headers.contains_key(&TRACESTATE), "{traceparent:?}");
        }
    }

    #[test]
    fn of_a_later_version_the_part_is_kept_that_every_version_has() {
        let mut headers = HeaderMap::new();
        let long = format!("01{}-{}", &GOOD[2..], "\"".repeat(50_000));
        headers.insert(&TRACEPARENT, HeaderValue::from_str(&long).unwrap());
        assert_eq!(valid(&headers).unwrap(), GOOD);
        assert_eq!(continue_or_begin(&mut headers), GOOD);
    }

    #[test]
    fn knows_what_the_standard_forbids() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        assert!(is_valid(b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later"));
    }
}
