//! Which headers do not travel on.

use http::{HeaderMap, HeaderName, header};
use http_api::header_members;

/// About one connection only (RFC 9110, section 7.6.1), and those that clients send as if they were.
/// `Expect` is not among them: who forwards a request asks for its body only once the role behind does (section
/// 10.1.1).
const HOP_BY_HOP: [HeaderName; 9] = [
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

/// Only a proxy that is trusted may say these.
const FORWARDING: [HeaderName; 7] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-real-ip"),
];

/// Drops what is about one connection, and what `Connection` names.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = header_members(headers, &header::CONNECTION)
        .filter_map(|name| name.parse().ok())
        // The length belongs to the message, whatever a client says.
        .filter(|name| name != header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Drops what clients say about where they come from.
pub(crate) fn drop_forwarding(headers: &mut HeaderMap) {
    for name in &FORWARDING {
        headers.remove(name);
    }
}

/// Readies an upstream's headers for the client.
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
        let left = [
            ("content-length", "3"),
            ("accept", "*/*"),
            ("expect", "100-continue"),
        ];
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
        let mut headers = map(&[
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
        ]);
        drop_forwarding(&mut headers);
        assert!(headers.is_empty());
    }
}
