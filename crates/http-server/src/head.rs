//! A first look at the head of a request, before hyper reads it. What hyper would refuse it answers bare, without
//! request id, problem or log line, and some of what it should refuse it serves: so heads are judged here, and hyper
//! only gets to see those that pass.

use std::fmt::{self, Display, Formatter};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, Uri};

/// The head of a request may take this many bytes, its last empty line included.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// The request target may take this many bytes: 8 KiB of a query string, and a path. RFC 9110, section 4.1, asks for
/// 8,000 at least.
const MAX_TARGET: usize = 9 * 1024;
/// As many as hyper takes.
const MAX_FIELDS: usize = 100;
/// What a refused head is replaced by keeps these, so that answer and log name the request as its client does.
const KEPT: [&str; 3] = ["x-request-id", "traceparent", "user-agent"];

/// Why a request is refused before it has been read whole. The server hands on a request that stands in for it, with this
/// among its extensions; the router answers it and the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not HTTP/1, or contradicts itself.
    Malformed(&'static str),
    /// Its target is longer than 9 KiB.
    TargetTooLong,
    /// It is longer than 64 KiB, or has more than 100 fields.
    TooLarge,
    /// Its body is coded in a way that is not known here.
    UnknownCoding,
    /// The rest of it did not come in time.
    TimedOut,
    /// There is too much to do, or there are too many connections.
    Overloaded,
    /// It came as it is to an address that is served over TLS.
    NotEncrypted,
}

/// How the end of the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// A head that is not served.
#[derive(Debug)]
pub(crate) struct RefusedHead {
    pub(crate) refusal: Refusal,
    /// A head that hyper takes, of a request that is to be answered with the refusal.
    pub(crate) stand_in: Bytes,
}

impl Refusal {
    /// The refusal of a head that cannot be read.
    pub(crate) fn unread(self) -> RefusedHead {
        RefusedHead {
            refusal: self,
            stand_in: Bytes::from_static(b"BAD / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n"),
        }
    }
}

/// What is wrong, in a sentence for the person who sent it.
impl Display for Refusal {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => formatter.write_str(why),
            Self::TargetTooLong => write!(formatter, "path and query may take {MAX_TARGET} bytes"),
            Self::TooLarge => write!(
                formatter,
                "the head of a request may take {MAX_HEAD} bytes and {MAX_FIELDS} fields"
            ),
            Self::UnknownCoding => formatter.write_str("send the body as it is, or in chunks"),
            Self::TimedOut => formatter.write_str("the head of the request took too long to arrive"),
            Self::Overloaded => formatter.write_str("there is too much to do; nothing was done"),
            Self::NotEncrypted => {
                formatter.write_str("this address is served over TLS: its URLs begin with https")
            }
        }
    }
}

/// Judges what has come of a head. `None` while it is not complete; then its length and the framing of the body.
pub(crate) fn look(bytes: &[u8]) -> Result<Option<(usize, Framing)>, RefusedHead> {
    if target_length(bytes) > MAX_TARGET {
        return Err(Refusal::TargetTooLong.unread());
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => match judge(&head) {
            Ok(framing) => Ok(Some((length, framing))),
            Err(refusal) => Err(RefusedHead {
                refusal,
                stand_in: stand_in(&head),
            }),
        },
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooLarge.unread()),
        Err(error) => Err(Refusal::Malformed(match error {
            httparse::Error::HeaderName => "the name of a header is malformed",
            httparse::Error::HeaderValue => "the value of a header is malformed",
            httparse::Error::NewLine => "a line does not end in CRLF",
            httparse::Error::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            httparse::Error::Status | httparse::Error::Token | httparse::Error::TooManyHeaders => {
                "the first line is malformed"
            }
        })
        .unread()),
    }
}

/// The length of the request target, as far as it has come.
fn target_length(bytes: &[u8]) -> usize {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let line = bytes.get(start.unwrap_or(bytes.len())..).unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\n'));
    let target = words.nth(1).unwrap_or_default();
    target.strip_suffix(b"\r").unwrap_or(target).len()
}

fn judge(head: &httparse::Request<'_, '_>) -> Result<Framing, Refusal> {
    let known = |text: Option<&str>, valid: fn(&str) -> bool| text.is_some_and(valid);
    if !known(head.method, |method| {
        Method::from_bytes(method.as_bytes()).is_ok()
    }) || !known(head.path, |target| target.parse::<Uri>().is_ok())
    {
        return Err(Refusal::Malformed("the first line is malformed"));
    }
    host(head)?;
    expectation(head)?;
    framing(head)
}

/// RFC 9110, section 10.1.1: the one expectation that there is. A request with another one would wait for ever.
fn expectation(head: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    if values(head, "expect").all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(())
    } else {
        Err(Refusal::Malformed("Expect: only 100-continue is known"))
    }
}

fn values<'a>(head: &'a httparse::Request<'_, '_>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let fields = head.headers.iter();
    fields
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

/// RFC 9112, section 3.2: exactly one valid `Host`; before HTTP/1.1 there may be none.
fn host(head: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    let mut hosts = values(head, "host");
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (Some(_), None) => Err(Refusal::Malformed(
            "Host: expected a host such as example.com:8080",
        )),
        (Some(_), Some(_)) => Err(Refusal::Malformed("Host: must be sent once")),
        (None, _) if head.version == Some(0) => Ok(()),
        (None, _) => Err(Refusal::Malformed("Host: must be sent")),
    }
}

/// `uri-host [ ":" port ]` (RFC 3986, section 3.2).
fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let (literal, rest) = (&rest[..end], &rest[end + 1..]);
            let is_literal = |byte: &u8| byte.is_ascii_alphanumeric() || b".:-_~!$&'()*+,;=".contains(byte);
            if literal.is_empty() || !literal.iter().all(is_literal) {
                return false;
            }
            (
                &b""[..],
                rest.strip_prefix(b":")
                    .or_else(|| rest.is_empty().then_some(rest)),
            )
        }
        None => match value.iter().position(|byte| *byte == b':') {
            Some(colon) => (&value[..colon], Some(&value[colon + 1..])),
            None => (value, Some(&b""[..])),
        },
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    host.iter().all(is_name) && port.is_some_and(|port| port.iter().all(u8::is_ascii_digit))
}

/// RFC 9112, section 6.
fn framing(head: &httparse::Request<'_, '_>) -> Result<Framing, Refusal> {
    let mut length = None;
    for value in values(head, "content-length") {
        let digits = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let this = digits.and_then(|digits| digits.parse::<u64>().ok());
        if this.is_none() || length.is_some_and(|length| Some(length) != this) {
            return Err(Refusal::Malformed("Content-Length: expected one whole number"));
        }
        length = this;
    }
    if values(head, "transfer-encoding").next().is_none() {
        return Ok(Framing::Length(length.unwrap_or_default()));
    }
    if head.version == Some(0) {
        return Err(Refusal::Malformed("Transfer-Encoding: not before HTTP/1.1"));
    }
    let codings: Vec<&[u8]> = values(head, "transfer-encoding")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.split_last() {
        Some((last, [])) if is_chunked(last) => Ok(Framing::Chunked),
        Some((last, others))
            if is_chunked(last) && !others.iter().any(|other| is_chunked(other) || other.is_empty()) =>
        {
            Err(Refusal::UnknownCoding)
        }
        _ => Err(Refusal::Malformed(
            "Transfer-Encoding: expected chunked, once, as the last coding",
        )),
    }
}

/// A head that hyper takes, for the same request as far as it makes sense.
fn stand_in(head: &httparse::Request<'_, '_>) -> Bytes {
    let method = head.method.filter(|method| *method != "CONNECT");
    let target = head.path.filter(|target| target.parse::<Uri>().is_ok());
    let mut text = BytesMut::new();
    text.put_slice(method.unwrap_or("BAD").as_bytes());
    text.put_u8(b' ');
    text.put_slice(target.unwrap_or("/").as_bytes());
    text.put_slice(match head.version {
        Some(0) => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    });
    for name in KEPT {
        for value in values(head, name) {
            text.put_slice(name.as_bytes());
            text.put_slice(b": ");
            text.put_slice(value);
            text.put_slice(b"\r\n");
        }
    }
    text.put_slice(b"host: -\r\nconnection: close\r\n\r\n");
    text.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(head: &str) -> Refusal {
        match look(head.as_bytes()) {
            Err(refused) => {
                assert_eq!(look(&refused.stand_in).unwrap().unwrap().1, Framing::Length(0));
                refused.refusal
            }
            Ok(other) => panic!("{other:?} for {head}"),
        }
    }

    #[test]
    fn a_host_is_there_once_and_valid() {
        for host in [
            "a",
            "a.b:80",
            "a:",
            "[::1]",
            "[::1]:8080",
            "127.0.0.1:1",
            "xn--a",
            "a%20b",
            "",
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(
                look(head.as_bytes()).unwrap(),
                Some((head.len(), Framing::Length(0))),
                "{host}"
            );
        }
        for host in [
            "a b/c@d", "a/b", "u@h", "a:b", "[::1", "[]", "[::1]x", "a,b/", "é", "a:1:2", "a?b",
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert!(
                matches!(refused(&head), Refusal::Malformed(why) if why.starts_with("Host")),
                "{host}"
            );
        }
        assert!(matches!(refused("GET / HTTP/1.1\r\n\r\n"), Refusal::Malformed(_)));
        assert!(matches!(
            refused("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"),
            Refusal::Malformed(_)
        ));
        assert!(look(b"GET / HTTP/1.0\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn bodies_have_one_framing() {
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        let framing = |fields: &str| look(with(fields).as_bytes()).unwrap().unwrap().1;
        assert_eq!(framing("Content-Length: 7"), Framing::Length(7));
        assert_eq!(
            framing("Content-Length: 7\r\nContent-Length: 7"),
            Framing::Length(7)
        );
        assert_eq!(framing("Transfer-Encoding: Chunked"), Framing::Chunked);
        assert_eq!(
            framing("Transfer-Encoding: chunked\r\nContent-Length: 7"),
            Framing::Chunked
        );
        for coding in [
            "gzip, chunked",
            "identity,chunked",
            "gzip\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(
                refused(&with(&format!("Transfer-Encoding: {coding}"))),
                Refusal::UnknownCoding
            );
        }
        for fields in [
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: , chunked",
            "Transfer-Encoding:",
            "Expect: the worst",
            "Expect: 100-continue, x",
            "Content-Length: 7\r\nContent-Length: 8",
            "Content-Length: +7",
            "Content-Length: 7, 7",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
        ] {
            assert!(
                matches!(refused(&with(fields)), Refusal::Malformed(_)),
                "{fields}"
            );
        }
    }

    #[test]
    fn sizes_hold_to_the_byte() {
        let head = |length: usize| {
            let fixed = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
            fixed.replace("X: ", &format!("X: {}", "x".repeat(length - fixed.len())))
        };
        assert!(look(head(MAX_HEAD).as_bytes()).unwrap().is_some());
        assert_eq!(refused(&head(MAX_HEAD + 1)), Refusal::TooLarge);
        let incomplete = head(MAX_HEAD + 10);
        assert!(look(&incomplete.as_bytes()[..MAX_HEAD - 1]).unwrap().is_none());
        assert!(look(&incomplete.as_bytes()[..MAX_HEAD]).is_err());

        let target =
            |length: usize| format!("\r\nGET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
        assert!(look(target(MAX_TARGET).as_bytes()).unwrap().is_some());
        assert_eq!(refused(&target(MAX_TARGET + 1)), Refusal::TargetTooLong);
        assert_eq!(refused(&target(MAX_HEAD * 2)), Refusal::TargetTooLong);
        let fields = |count: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "a: b\r\n".repeat(count - 1)
            )
        };
        assert!(look(fields(MAX_FIELDS).as_bytes()).unwrap().is_some());
        assert_eq!(refused(&fields(MAX_FIELDS + 1)), Refusal::TooLarge);
    }

    #[test]
    fn what_is_refused_keeps_its_name() {
        let head =
            b"PATCH /tasks?a=b HTTP/1.1\r\nX-Request-Id: mine\r\nUser-Agent: me\r\nAuthorization: x\r\n\r\n";
        let stand_in = look(head).unwrap_err().stand_in;
        assert_eq!(
            stand_in,
            "PATCH /tasks?a=b HTTP/1.1\r\nx-request-id: mine\r\nuser-agent: me\r\nhost: -\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn what_is_not_http_is_malformed() {
        for head in [
            "GET / HTTP/2.0\r\n",
            "\u{16}\u{3}\u{1}",
            "GET /\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n folded\r\n\r\n",
            "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert!(matches!(refused(head), Refusal::Malformed(_)), "{head}");
        }
    }
}
