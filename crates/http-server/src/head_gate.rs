//! Finds where one request on a connection ends and the next one begins, so that each head is checked before hyper
//! sees any of it.

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::ReadBuf;

use crate::head::{Framing, HeadLimits, Refusal, look, stand_in};

/// A head that grows without a line break is checked again after this many bytes.
const LOOK_AGAIN: usize = 1024;
/// The most bytes of a head in one read.
const HEAD_READ: usize = 16 * 1024;
/// The most empty lines before a head. RFC 9112, section 2.2, asks for one.
const MAX_EMPTY_LINES: usize = 8;

/// What comes next on a connection.
#[derive(Debug)]
enum Next {
    /// The head of a request.
    Head,
    /// This many bytes of a body.
    Body(u64),
    /// Chunks of a body.
    Chunks(Chunks),
    /// A body with malformed chunks; hyper ends the connection with it.
    Unknown,
    /// Nothing, because a head was refused.
    Nothing,
}

/// The bytes of one connection on their way to hyper.
pub(crate) struct HeadGate {
    next: Next,
    limits: HeadLimits,
    /// What has come and not been handed on.
    held: BytesMut,
    /// How many of them were checked and can be passed on.
    passed: usize,
    /// How many bytes of a head were checked.
    looked_at: usize,
    /// How many empty lines have come since the last request. They are not kept.
    empty_lines: usize,
}

impl HeadGate {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { next: Next::Head, limits, held: BytesMut::new(), passed: 0, looked_at: 0, empty_lines: 0 }
    }

    /// Passes on what can be passed on, and returns whether there was anything.
    pub(crate) fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.passed == 0 {
            self.passed = self.next.of_body(&self.held);
        }
        let count = self.passed.min(buffer.remaining());
        buffer.put_slice(&self.held[..count]);
        self.held.advance(count);
        self.passed -= count;
        if self.held.is_empty() {
            // A connection that waits needs no memory.
            self.held = BytesMut::new();
        }
        count > 0
    }

    /// Whether a head comes next.
    pub(crate) fn awaits_head(&self) -> bool {
        self.passed == 0 && matches!(self.next, Next::Head)
    }

    /// Whether no more bytes are read.
    pub(crate) fn is_closed(&self) -> bool {
        self.passed == 0 && matches!(self.next, Next::Nothing)
    }

    /// Whether a head has begun, as far as was checked by [`Self::judge`].
    pub(crate) fn has_begun(&self) -> bool {
        // A single CR may be the first half of an empty line.
        !matches!(*self.held, [] | [b'\r'])
    }

    /// The buffer for the bytes of a head; see [`Self::judge`].
    pub(crate) fn space(&mut self) -> impl BufMut + use<'_> {
        self.held.reserve(LOOK_AGAIN);
        (&mut self.held).limit(HEAD_READ)
    }

    /// Checks the head that has arrived so far. A complete head can be passed on; for a refused one a stand-in is
    /// passed on, and nothing after it.
    pub(crate) fn judge(&mut self) -> Option<Refusal> {
        self.drop_empty_lines();
        if self.empty_lines > MAX_EMPTY_LINES {
            self.refuse();
            return Some(Refusal::Malformed("too many empty lines came before the request"));
        }
        if !self.has_begun() {
            return None;
        }
        let new = self.held.get(self.looked_at..).unwrap_or_default();
        if new.len() < LOOK_AGAIN && self.looked_at > 0 && !new.contains(&b'\n') {
            return None;
        }
        self.looked_at = self.held.len();
        match look(&self.held, self.limits) {
            Ok(None) => None,
            Ok(Some((length, framing))) => {
                self.passed = length;
                self.looked_at = 0;
                self.empty_lines = 0;
                self.next = match framing {
                    Framing::Length(0) => Next::Head,
                    Framing::Length(length) => Next::Body(length),
                    Framing::Chunked => Next::Chunks(Chunks::new()),
                };
                None
            }
            Err(refusal) => {
                self.refuse();
                Some(refusal)
            }
        }
    }

    fn drop_empty_lines(&mut self) {
        while let [b'\r', b'\n', ..] | [b'\n', ..] = *self.held
            && self.empty_lines <= MAX_EMPTY_LINES
        {
            let length = if self.held.starts_with(b"\n") { 1 } else { 2 };
            self.held.advance(length);
            self.empty_lines += 1;
        }
    }

    /// Passes on a stand-in for the head that has begun, and nothing after it.
    pub(crate) fn refuse(&mut self) {
        self.held = stand_in(&self.held);
        self.passed = self.held.len();
        self.next = Next::Nothing;
    }

    /// How many bytes of a body may be read directly at once.
    pub(crate) fn limit(&self) -> usize {
        match &self.next {
            Next::Body(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Next::Chunks(_) | Next::Unknown => usize::MAX,
            Next::Head | Next::Nothing => 0,
        }
    }

    /// Records `bytes` that were read directly, and returns how many of them belong to the body. The others are kept.
    pub(crate) fn read_past(&mut self, bytes: &[u8]) -> usize {
        let count = self.next.of_body(bytes);
        self.held.extend_from_slice(&bytes[count..]);
        count
    }
}

impl Next {
    /// How many of `bytes` belong to the body.
    fn of_body(&mut self, bytes: &[u8]) -> usize {
        let (count, is_end) = match self {
            Self::Head | Self::Nothing => return 0,
            Self::Unknown => return bytes.len(),
            Self::Body(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                (count, *left == 0)
            }
            Self::Chunks(chunks) => match chunks.scan(bytes) {
                Some(count) => (count, chunks.place == Place::End),
                None => {
                    *self = Self::Unknown;
                    return bytes.len();
                }
            },
        };
        if is_end {
            *self = Self::Head;
        }
        count
    }
}

/// Finds the end of a chunked body (RFC 9112, section 7.1). It takes exactly what hyper takes, which is stricter than
/// what section 2.2 allows: a line ends with CR and LF. If it took a lone LF for an end where hyper goes on, hyper
/// would get to see a head that nobody has looked at.
#[derive(Debug)]
struct Chunks {
    place: Place,
    /// The bytes that are left of the chunk.
    left: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size {
        digits: bool,
    },
    SpaceAfterSize,
    Extension,
    SizeLineFeed,
    Data,
    AfterData,
    DataLineFeed,
    /// At the beginning of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    LastLineFeed,
    End,
}

impl Chunks {
    fn new() -> Self {
        Self { place: Place::Size { digits: false }, left: 0 }
    }

    /// How many of `bytes` are of the body; `None` when they are no chunks, which hyper finds, too.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at)
            && self.place != Place::End
        {
            let mut step = 1;
            self.place = match (self.place, byte) {
                (Place::Size { digits: true } | Place::SpaceAfterSize | Place::Extension, b'\r') => {
                    Place::SizeLineFeed
                }
                (Place::Size { digits: true } | Place::SpaceAfterSize, b' ' | b'\t') => Place::SpaceAfterSize,
                (Place::Size { digits: true } | Place::SpaceAfterSize, b';') => Place::Extension,
                (Place::Size { .. }, byte) => {
                    let digit = char::from(*byte).to_digit(16)?;
                    self.left = self.left.checked_mul(16)?.checked_add(digit.into())?;
                    Place::Size { digits: true }
                }
                (Place::Extension, byte) if *byte != b'\n' => Place::Extension,
                (Place::SizeLineFeed, b'\n') if self.left == 0 => Place::TrailerStart,
                (Place::SizeLineFeed, b'\n') => Place::Data,
                (Place::Data, _) => {
                    let rest = bytes.len() - at;
                    step = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest);
                    self.left -= step as u64;
                    match self.left {
                        0 => Place::AfterData,
                        _ => Place::Data,
                    }
                }
                (Place::AfterData, b'\r') => Place::DataLineFeed,
                (Place::DataLineFeed, b'\n') => Place::Size { digits: false },
                (Place::TrailerStart, b'\r') => Place::LastLineFeed,
                (Place::Trailer, b'\r') => Place::TrailerLineFeed,
                (Place::TrailerStart | Place::Trailer, _) => Place::Trailer,
                (Place::TrailerLineFeed, b'\n') => Place::TrailerStart,
                (Place::LastLineFeed, b'\n') => Place::End,
                (
                    Place::SpaceAfterSize
                    | Place::Extension
                    | Place::SizeLineFeed
                    | Place::AfterData
                    | Place::DataLineFeed
                    | Place::TrailerLineFeed
                    | Place::LastLineFeed,
                    _,
                ) => return None,
                (Place::End, _) => Place::End,
            };
            at += step;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests;
