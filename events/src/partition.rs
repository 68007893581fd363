//! Partitions of the log.

use std::num::NonZeroU16;

use crate::{ConsistencyToken, UserId, subject_hash::subject_hash};

/// The number of partitions that the log is projected in. All events of one subject are in the same partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartitionCount(NonZeroU16);

impl PartitionCount {
    /// At least 1, at most 256.
    pub const fn new(count: u16) -> Option<Self> {
        match NonZeroU16::new(count) {
            Some(n) if count <= 256 => Some(Self(n)),
            _ => None,
        }
    }

    /// The number of partitions.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The partition of a subject, from 0.
    pub fn of(self, subject: UserId) -> u16 {
        self.of_hash(subject_hash(subject))
    }

    /// The partition that a token waits on, from 0.
    pub fn of_token(self, token: ConsistencyToken) -> u16 {
        self.of_hash(token.subject_hash)
    }

    fn of_hash(self, hash: u32) -> u16 {
        // The remainder is below 256, so it always fits.
        (hash % u32::from(self.get())) as u16
    }

    /// Every partition, from 0.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        0..self.get()
    }
}
