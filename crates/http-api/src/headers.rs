//! The names of the headers that the API adds to those of HTTP, and how a header that is a list is read.

use http::{HeaderMap, HeaderName, HeaderValue};

/// `Consistency-Token`: the state of the projection that an answer shows, or that a query wants to see.
pub static CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");
/// `Idempotency-Key`: names a command, so that sending it again does not repeat it.
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `Idempotency-Replayed: true`: the command was carried out before, and this repeats its answer.
pub static IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// `X-Request-Id`
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Forwarded-For`: the client's address, as the gateway sets it.
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `traceparent` (W3C Trace Context)
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate` (W3C Trace Context)
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `Cache-Control` for personal data: only the client itself may cache it, and must revalidate each time.
pub const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The value of a header that is a list: all of its lines as one (RFC 9110, section 5.3). `None` when it was not
/// sent.
pub fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter();
    let mut list = lines.next()?.as_bytes().to_vec();
    for line in lines {
        list.extend_from_slice(b", ");
        list.extend_from_slice(line.as_bytes());
    }
    Some(list)
}

/// The members of a header that is a list of tokens, from all of its lines. Empty members are included. A member that
/// is not text becomes `?`, which is not a valid token.
pub fn members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> + use<'h> {
    let lines = headers.get_all(name).iter();
    let members = lines.flat_map(|line| line.to_str().unwrap_or("?").split(','));
    members.map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::VARY};

    use super::*;

    #[test]
    fn a_list_is_the_same_however_it_is_divided_into_lines() {
        let headers = |lines: &[&'static str]| -> HeaderMap {
            let line = |line: &&'static str| (VARY, HeaderValue::from_static(line));
            lines.iter().map(line).collect()
        };
        for lines in [&["a, b, c"][..], &["a, b", "c"], &["a", "b", "c"]] {
            let headers = headers(lines);
            assert_eq!(list(&headers, &VARY).as_deref(), Some(&b"a, b, c"[..]));
            assert!(members(&headers, &VARY).eq(["a", "b", "c"]));
        }
        assert_eq!(list(&headers(&[]), &VARY), None);
        assert!(members(&headers(&[" ,a", "", "b,,"]), &VARY).eq(["", "a", "", "b", "", ""]));
    }
}
