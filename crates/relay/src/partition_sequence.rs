//! Gives each event its partition, and the position of the event before it in that partition. Pure.

use bus::EventMessage;
use events::{LogPoint, PartitionCount, RecordedEvent, public_payload};

/// The last position of each partition, up to some point of the log. From the same state follow the same messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionSequence {
    partitions: PartitionCount,
    /// The last position of each partition, 0 before its first.
    positions: Vec<u64>,
    /// The last event that was counted.
    read_up_to: LogPoint,
}

impl PartitionSequence {
    /// A sequence that begins after `point`. The first message of each partition says that it follows `point`, so that
    /// consumers which have not reached that point read the store.
    pub(crate) fn after(partitions: PartitionCount, point: LogPoint) -> Self {
        Self { partitions, positions: vec![point.position; usize::from(partitions.get())], read_up_to: point }
    }

    /// Sets the last position of `partition`, and up to where the log was read, as they were saved.
    pub(crate) fn restore(&mut self, partition: u16, position: u64, read_up_to: LogPoint) {
        if let Some(last) = self.positions.get_mut(usize::from(partition)) {
            *last = position;
        }
        self.read_up_to = read_up_to;
    }

    /// The message for `event`, which is the next one in the log. It does not contain the secrets of the payload.
    pub(crate) fn message(&mut self, mut event: RecordedEvent) -> EventMessage {
        let partition = self.partitions.of(event.metadata.subject);
        let last = &mut self.positions[usize::from(partition)];
        let previous = std::mem::replace(last, event.position);
        self.read_up_to = LogPoint::from(&event);
        event.data = public_payload(&event.data);
        EventMessage { event, partitions: self.partitions, partition, previous }
    }

    /// Skips the record at `point`, which cannot be published. Its partition is not known, so the next message of every
    /// partition says that it follows this record, and consumers look for it in the store.
    pub(crate) fn skip(&mut self, point: LogPoint) {
        self.positions.fill(point.position);
        self.read_up_to = point;
    }

    pub(crate) fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = (u16, u64)> {
        self.partitions.iter().zip(self.positions.iter().copied())
    }

    pub(crate) fn read_up_to(&self) -> LogPoint {
        self.read_up_to
    }
}
