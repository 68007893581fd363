//! Decides whether messages continue the projection, repeat it, or leave a gap, which `gap_repair.rs` fills from the
//! store.

use bus::EventMessage;

/// What to do with a batch of messages.
#[derive(Debug, PartialEq)]
pub(crate) enum Plan<'a> {
    /// All messages were applied before.
    Skip,
    /// These messages follow the checkpoint without a gap.
    Apply(Vec<&'a EventMessage>),
    /// Events before or among them are missing.
    Repair {
        /// The position of the last message.
        until: u64,
    },
}

/// Plans a batch of `messages`, which are in the order of their positions. There is no gap before a message if its
/// predecessor in the partition is projected.
pub(crate) fn plan(checkpoint: u64, messages: &[EventMessage]) -> Plan<'_> {
    let mut reached = checkpoint;
    let mut new = Vec::new();
    for message in messages.iter().filter(|message| message.event.position > checkpoint) {
        let position = message.event.position;
        if position == reached {
            continue;
        }
        if message.previous > reached {
            let until = messages.last().map_or(position, |last| last.event.position);
            return Plan::Repair { until };
        }
        new.push(message);
        reached = position;
    }
    if new.is_empty() { Plan::Skip } else { Plan::Apply(new) }
}

#[cfg(test)]
mod tests {
    use bus::EventMessage;
    use bytes::Bytes;
    use events::{
        Actor, Encoding, EventId, Metadata, PartitionCount, RecordedEvent, StreamName, Timestamp, UserId,
    };
    use uuid::Uuid;

    use super::{Plan, plan};

    fn message(previous: u64, position: u64) -> EventMessage {
        let event = RecordedEvent {
            position,
            stream: StreamName::raw("task-1"),
            version: position,
            id: EventId(Uuid::nil()),
            kind: "task.started".to_owned(),
            schema_version: 1,
            encoding: Encoding::Json,
            data: Bytes::new(),
            metadata: Metadata::new(UserId::NOBODY, Actor::System, "", Uuid::nil()),
            recorded_at: Timestamp::from_micros(0),
        };
        EventMessage { event, partitions: PartitionCount::new(1).unwrap(), partition: 0, previous }
    }

    fn planned(checkpoint: u64, messages: &[(u64, u64)]) -> String {
        let messages: Vec<_> =
            messages.iter().map(|(previous, position)| message(*previous, *position)).collect();
        match plan(checkpoint, &messages) {
            Plan::Skip => "skip".to_owned(),
            Plan::Apply(new) => {
                let positions: Vec<_> =
                    new.iter().map(|message| message.event.position.to_string()).collect();
                format!("apply {}", positions.join(" "))
            }
            Plan::Repair { until } => format!("repair until {until}"),
        }
    }

    #[test]
    fn messages_are_skipped_applied_or_read_from_the_store() {
        assert_eq!(planned(0, &[]), "skip");
        assert_eq!(planned(9, &[(3, 5), (5, 9)]), "skip", "seen before");
        assert_eq!(planned(0, &[(0, 2), (2, 5)]), "apply 2 5");
        assert_eq!(planned(2, &[(0, 2), (2, 5)]), "apply 5", "half seen before");
        assert_eq!(planned(2, &[(2, 5), (2, 5), (5, 6)]), "apply 5 6", "one comes twice");
        assert_eq!(
            planned(4, &[(2, 5)]),
            "apply 5",
            "a heartbeat has moved the checkpoint past the predecessor"
        );
        assert_eq!(planned(2, &[(5, 7)]), "repair until 7", "5 is missing");
        assert_eq!(planned(2, &[(2, 5), (7, 9), (9, 12)]), "repair until 12", "7 is missing");
    }
}
