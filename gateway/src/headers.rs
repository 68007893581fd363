//! The headers that are not forwarded.

use http::{HeaderMap, HeaderName, header};
use http_api::{X_FORWARDED_FOR, header_members};

/// Headers about one connection (RFC 9110, section 7.6.1), and those that some clients treat so. `Expect` is not
/// among them: the gateway asks for the body only when the role does (section 10.1.1).
// A constant would be made again for each name that is compared.
static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that only a trusted proxy may send, as [`X_FORWARDED_FOR`].
static FORWARDING: [HeaderName; 6] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-real-ip"),
];

/// Removes headers about one connection, and those that `Connection` names.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = header_members(headers, &header::CONNECTION)
        .filter_map(|name| name.parse().ok())
        // The length belongs to the message, even if the client lists it.
        .filter(|name| name != header::CONTENT_LENGTH)
        .collect();
    drop_all(headers, |name| HOP_BY_HOP.contains(name) || named.contains(name));
}

/// Removes headers about the client's origin.
pub(crate) fn drop_forwarding(headers: &mut HeaderMap) {
    drop_all(headers, |name| FORWARDING.contains(name) || *name == X_FORWARDED_FOR);
}

/// Removes the headers whose names are `dropped`.
fn drop_all(headers: &mut HeaderMap, dropped: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers.keys().filter(|name| dropped(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Prepares the headers of an upstream's answer for the client.
pub(crate) fn for_client(headers: &mut HeaderMap) {
    drop_hop_by_hop(headers);
    headers.remove(header::SERVER);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_end_here() {
        let mut headers = map(&[
            ("connection", "close, X-Mine"),
            ("connection", "x-other,content-length"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("proxy-authorization", "secret"),
            ("content-length", "3"),
            ("accept", "*/*"),
        ]);
        drop_hop_by_hop(&mut headers);
        let left = [("content-length", "3"), ("accept", "*/*"), ("expect", "100-continue")];
        assert_eq!(headers, map(&left));
    }

    #[test]
    fn a_length_beside_chunks_does_not_count() {
        let mut headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        drop_hop_by_hop(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn nobody_says_where_they_come_from() {
        let mut headers =
            map(&[("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "1.2.3.4")]);
        drop_forwarding(&mut headers);
        assert!(headers.is_empty());
    }
}
