//! Tokens that name a state of the projection.

use std::{fmt, str::FromStr};

use crate::{EventId, LogPoint, UserId, as_text::as_text, subject_hash::subject_hash};

/// The value of the `Consistency-Token` header. It asks for a state that includes everything about this subject up to
/// this position. It names the subject by a hash, so it stays valid when the number of partitions changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsistencyToken {
    pub(crate) subject_hash: u32,
    /// The position in the log that must have been projected.
    pub position: u64,
    /// The last bytes of the id of the event at that position, if the token has them. In another history of the log
    /// another event has the same position.
    event: Option<u32>,
}

/// The text is not a consistency token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a consistency token: send one back exactly as an earlier response carried it")]
pub struct ParseConsistencyTokenError;

impl ConsistencyToken {
    /// Everything about `subject` up to `position`.
    pub fn new(subject: UserId, position: u64) -> Self {
        Self { subject_hash: subject_hash(subject), position, event: None }
    }

    /// Everything about `subject` up to `point`, whose event it names as well.
    pub fn at(subject: UserId, point: LogPoint) -> Self {
        Self { event: point.id.map(id_end), ..Self::new(subject, point.position) }
    }

    /// Whether the event that it names can be that of this id.
    pub fn may_name(self, id: EventId) -> bool {
        self.event.is_none_or(|event| event == id_end(id))
    }

    /// Whether both tokens are about the same subject, so that their positions can be compared.
    pub fn same_subject(self, other: Self) -> bool {
        self.subject_hash == other.subject_hash
    }
}

impl fmt::Display for ConsistencyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.subject_hash)?;
        if let Some(event) = self.event {
            write!(f, "{event:08x}")?;
        }
        write!(f, "-{}", self.position)
    }
}

impl FromStr for ConsistencyToken {
    type Err = ParseConsistencyTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (names, position) = text.split_once('-').ok_or(ParseConsistencyTokenError)?;
        let (hash, event) = names.split_at_checked(8).ok_or(ParseConsistencyTokenError)?;
        if !position.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseConsistencyTokenError);
        }
        Ok(Self {
            subject_hash: eight_hex_digits(hash)?,
            position: position.parse().map_err(|_| ParseConsistencyTokenError)?,
            event: match event {
                "" => None,
                event => Some(eight_hex_digits(event)?),
            },
        })
    }
}

fn eight_hex_digits(text: &str) -> Result<u32, ParseConsistencyTokenError> {
    let is_lower_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 8 || !text.bytes().all(is_lower_hex) {
        return Err(ParseConsistencyTokenError);
    }
    u32::from_str_radix(text, 16).map_err(|_| ParseConsistencyTokenError)
}

/// The last four bytes of an event's id, which are random (RFC 9562, version 7).
fn id_end(id: EventId) -> u32 {
    let bytes = id.0.as_bytes();
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

as_text!(ConsistencyToken);
