//! Checks the head of a request before hyper reads it. Hyper answers bad heads without request id, problem or log
//! line, and serves some that it should refuse. So it only gets heads that pass this check.

use std::{
    fmt::{self, Display, Formatter},
    net::Ipv6Addr,
};

use bytes::{BufMut, BytesMut};
use http::{Method, Uri};

/// How large the head of a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes, its last empty line included.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

impl HeadLimits {
    /// For a head that a client has written.
    pub const OF_CLIENTS: Self = Self {
        bytes: 64 * 1024,
        fields: 100, // as many as hyper takes by default
    };
    /// For a head that a gateway of ours hands on with fields of its own: any that it takes is taken behind it.
    pub const OF_GATEWAYS: Self =
        Self { bytes: Self::OF_CLIENTS.bytes + 4 * 1024, fields: Self::OF_CLIENTS.fields + 16 };
}

/// The request target may take this many bytes: 8 KiB of a query string, and a path. RFC 9110, section 4.1, asks for
/// 8,000 at least.
const MAX_TARGET: usize = 9 * 1024;
/// The stand-in for a refused head keeps these fields, so that answer and log name the request as its client does, and
/// a page in a browser may read the answer.
const KEPT: [&str; 4] = ["x-request-id", "traceparent", "user-agent", "origin"];
/// Hyper takes this many bytes of a body at most.
const MAX_BODY: u64 = u64::MAX - 2;
/// As many fields of one name are kept: a second one shows that the name is repeated.
const MAX_OF_ONE_NAME: usize = 2;

/// Why a request is refused before all of it was read. The server passes on a stand-in request with this among its
/// extensions; the router answers it and the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not HTTP/1, or contradicts itself.
    Malformed(&'static str),
    /// Its target is longer than 9 KiB.
    TargetTooLong,
    /// It is longer than 64 KiB, or has more than 100 fields; behind a gateway some more.
    TooLarge,
    /// Its body has an unknown transfer coding.
    UnknownCoding,
    /// The rest of it did not arrive in time.
    TimedOut,
    /// The server is overloaded, or has too many connections.
    Overloaded,
    /// It was sent without TLS to an address that uses TLS.
    NotEncrypted,
}

/// How the end of the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// The reason, in a sentence for the sender.
impl Display for Refusal {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => formatter.write_str(why),
            Self::TargetTooLong => write!(formatter, "path and query may take {MAX_TARGET} bytes"),
            Self::TooLarge => {
                let HeadLimits { bytes, fields } = HeadLimits::OF_CLIENTS;
                write!(formatter, "the head of a request may take {bytes} bytes and {fields} fields")
            }
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
pub(crate) fn look(bytes: &[u8], limits: HeadLimits) -> Result<Option<(usize, Framing)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; HeadLimits::OF_GATEWAYS.fields];
    let count = limits.fields.min(fields.len());
    let mut head = httparse::Request::new(&mut fields[..count]);
    match head.parse(bytes) {
        // A long target is refused once the whole head has come, because the fields after it name the request.
        Ok(httparse::Status::Partial) if bytes.len() < limits.bytes => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) if target_length(bytes) > MAX_TARGET => {
            Err(Refusal::TargetTooLong)
        }
        Ok(httparse::Status::Complete(length)) if length <= limits.bytes => {
            judge(&head).map(|framing| Some((length, framing)))
        }
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooLarge),
        Err(error) => Err(Refusal::Malformed(match error {
            httparse::Error::HeaderName => "the name of a header is malformed",
            httparse::Error::HeaderValue => "the value of a header is malformed",
            httparse::Error::NewLine => "a line does not end in CRLF",
            httparse::Error::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            httparse::Error::Status | httparse::Error::Token | httparse::Error::TooManyHeaders => {
                "the first line is malformed"
            }
        })),
    }
}

/// The length of the request target so far.
fn target_length(bytes: &[u8]) -> usize {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let line = bytes.get(start.unwrap_or(bytes.len())..).unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\n'));
    let target = words.nth(1).unwrap_or_default();
    target.strip_suffix(b"\r").unwrap_or(target).len()
}

fn judge(head: &httparse::Request<'_, '_>) -> Result<Framing, Refusal> {
    let known = |text: Option<&str>, valid: fn(&str) -> bool| text.is_some_and(valid);
    if !known(head.method, |method| Method::from_bytes(method.as_bytes()).is_ok())
        || !known(head.path, |target| target.parse::<Uri>().is_ok())
    {
        return Err(Refusal::Malformed("the first line is malformed"));
    }
    host(head)?;
    expectation(head)?;
    framing(head)
}

/// RFC 9110, section 10.1.1 defines only one expectation. A request with another one would wait for ever.
fn expectation(head: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    if values(head, "expect").all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(())
    } else {
        Err(Refusal::Malformed("Expect: only 100-continue is known"))
    }
}

fn values<'a>(head: &'a httparse::Request<'_, '_>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let fields = head.headers.iter();
    fields.filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// RFC 9112, section 3.2: exactly one valid `Host`; before HTTP/1.1 there may be none.
fn host(head: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    let mut hosts = values(head, "host");
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (Some(_), None) => Err(Refusal::Malformed("Host: expected a host such as example.com:8080")),
        (Some(_), Some(_)) => Err(Refusal::Malformed("Host: must be sent once")),
        (None, _) if head.version == Some(0) => Ok(()),
        (None, _) => Err(Refusal::Malformed("Host: must be sent")),
    }
}

/// `uri-host [ ":" port ]` (RFC 3986, section 3.2).
fn is_host(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let (is_valid, rest) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((literal, rest))) => (is_ip_literal(literal), rest),
        Some(None) => return false,
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(name), rest)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    is_valid && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// `unreserved / sub-delims` (RFC 3986, section 2).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// `reg-name`, which every IPv4 address is as well: two hexadecimal digits follow each `%`.
fn is_name(text: &str) -> bool {
    let mut parts = text.split('%');
    let is_after_percent = |part: &str| match part.as_bytes() {
        [first, second, rest @ ..] => {
            first.is_ascii_hexdigit() && second.is_ascii_hexdigit() && rest.iter().copied().all(is_plain)
        }
        _ => false,
    };
    parts.next().is_some_and(|first| first.bytes().all(is_plain)) && parts.all(is_after_percent)
}

/// What stands between the brackets of `IP-literal`: an IPv6 address, or one of a later version.
fn is_ip_literal(text: &str) -> bool {
    let Some(later) = text.strip_prefix(['v', 'V']) else {
        return text.parse::<Ipv6Addr>().is_ok();
    };
    later.split_once('.').is_some_and(|(version, address)| {
        !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !address.is_empty()
            && address.bytes().all(|byte| byte == b':' || is_plain(byte))
    })
}

/// RFC 9112, section 6.
fn framing(head: &httparse::Request<'_, '_>) -> Result<Framing, Refusal> {
    let mut length = None;
    for value in values(head, "content-length") {
        let digits =
            std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let this = digits.and_then(|digits| digits.parse::<u64>().ok());
        let this = this.filter(|length| *length <= MAX_BODY);
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
        _ => Err(Refusal::Malformed("Transfer-Encoding: expected chunked, once, as the last coding")),
    }
}

/// A valid head for hyper, with the usable parts of a refused head, or of what has come of it: it answers the refusal.
pub(crate) fn stand_in(bytes: &[u8]) -> BytesMut {
    let mut fields = [httparse::EMPTY_HEADER; HeadLimits::OF_GATEWAYS.fields];
    let mut head = httparse::Request::new(&mut fields);
    // Where the parser stops, it leaves what it has read before.
    let _ = head.parse(bytes);
    let method =
        head.method.filter(|method| *method != "CONNECT" && Method::from_bytes(method.as_bytes()).is_ok());
    let target = head.path.filter(|target| target.len() <= MAX_TARGET && target.parse::<Uri>().is_ok());
    let mut text = BytesMut::new();
    text.put_slice(method.unwrap_or("BAD").as_bytes());
    text.put_u8(b' ');
    text.put_slice(target.unwrap_or("/").as_bytes());
    text.put_slice(match head.version {
        Some(0) => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    });
    for name in KEPT {
        for value in values(&head, name).take(MAX_OF_ONE_NAME) {
            text.put_slice(name.as_bytes());
            text.put_slice(b": ");
            text.put_slice(value);
            text.put_slice(b"\r\n");
        }
    }
    text.put_slice(b"host: -\r\nconnection: close\r\n\r\n");
    text
}

#[cfg(test)]
mod tests;
