//! The place of an event, to which its encrypted texts are bound: moved to another event, they cannot be decrypted.

use events::{StoredEvent, StreamName};

/// The place of an event in the log, and its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventPlace<'a> {
    stream: &'a str,
    version: u64,
    kind: &'a str,
}

impl<'a> EventPlace<'a> {
    pub(crate) fn new(stream: &'a StreamName, version: u64, kind: &'a str) -> Self {
        Self { stream: stream.as_str(), version, kind }
    }

    pub(crate) fn of_stored(event: &'a StoredEvent) -> Self {
        Self {
            stream: &event.stream,
            version: u64::try_from(event.version).unwrap_or_default(),
            kind: &event.kind,
        }
    }

    /// The associated data of the encrypted text that is this part of the event. Each text is preceded by its length,
    /// so that different places have different bytes.
    pub(crate) fn associated(self, part: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.stream.len() + self.kind.len() + part.len() + 32);
        for text in [self.stream, self.kind, part] {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stream: &str, version: u64, kind: &str, part: &str) -> Vec<u8> {
        EventPlace::new(&StreamName::raw(stream), version, kind).associated(part)
    }

    #[test]
    fn no_two_places_are_the_same() {
        let first = place("a", 1, "b", "data");
        for other in [
            place("ab", 1, "", "data"),
            place("a", 2, "b", "data"),
            place("a", 1, "c", "data"),
            place("a", 1, "b", "key"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_place_keeps_its_bytes_for_ever_because_the_log_has_texts_that_are_bound_to_them() {
        let bytes = b"\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\x02bc\0\0\0\0\0\0\0\x04data\0\0\0\0\0\0\x01\0";
        assert_eq!(place("a", 256, "bc", "data"), bytes);
    }
}
