//! Gives each event its partition, and the position of the event before it in that partition. Pure.

use bus::EventMessage;
use events::{LogPoint, PartitionCount, RecordedEvent, public_payload};

/// How far the log has been stamped. Whoever stamps on from the same place gives the same stamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionSequence {
    partitions: PartitionCount,
    /// The last position of each partition, 0 before its first.
    positions: Vec<u64>,
    /// Everything up to here has been stamped.
    read_up_to: LogPoint,
}

impl PartitionSequence {
    /// A chain that begins after `point`. Its first event in each partition says that `point` was before it, so a
    /// consumer that has not come that far reads the store.
    pub(crate) fn after(partitions: PartitionCount, point: LogPoint) -> Self {
        Self {
            partitions,
            positions: vec![point.position; usize::from(partitions.get())],
            read_up_to: point,
        }
    }

    /// The chain with `position` as the last of `partition`, when everything up to `read_up_to` is stamped.
    pub(crate) fn resume(&mut self, partition: u16, position: u64, read_up_to: LogPoint) {
        if let Some(last) = self.positions.get_mut(usize::from(partition)) {
            *last = position;
        }
        self.read_up_to = read_up_to;
    }

    /// The message that goes out for `event`, the next one in the log: without the secrets of its payload.
    pub(crate) fn stamp(&mut self, mut event: RecordedEvent) -> EventMessage {
        let partition = self.partitions.of(event.metadata.subject);
        let last = &mut self.positions[usize::from(partition)];
        let previous = std::mem::replace(last, event.position);
        self.read_up_to = LogPoint::from(&event);
        event.data = public_payload(&event.data);
        EventMessage {
            event,
            partitions: self.partitions,
            partition,
            previous,
        }
    }

    /// Passes over a record that cannot be published. Whichever partition it is of, the next message of each says that
    /// it follows it, so that consumers look for it in the store.
    pub(crate) fn pass_over(&mut self, position: u64) {
        self.positions.fill(position);
        self.read_up_to = LogPoint { position, id: None };
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
