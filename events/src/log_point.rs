//! A place in the log that can be told from the same place in another log.

use crate::{EventId, RecordedEvent};

/// A position and the event that stands there. The position alone names an event only within one history of the log:
/// after a restore, or a failover that loses the last events, others stand at the same positions. The event's id is
/// unique, so that both together can be compared with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogPoint {
    /// The position, 0 before the first event.
    pub position: u64,
    /// The event there. `None` before the first event, and where a release that kept only positions has left it out.
    pub id: Option<EventId>,
}

impl LogPoint {
    /// Before the first event. Every history of every log begins there.
    pub const START: Self = Self { position: 0, id: None };

    /// Whether a log that has the event `found` at [`Self::position`] contains this point.
    pub fn agrees_with(self, found: Option<EventId>) -> bool {
        match (self.position, self.id, found) {
            (0, _, _) => true,
            (_, _, None) => false,
            (_, None, Some(_)) => true,
            (_, Some(id), Some(found)) => id == found,
        }
    }
}

impl From<&RecordedEvent> for LogPoint {
    fn from(event: &RecordedEvent) -> Self {
        Self { position: event.position, id: Some(event.id) }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_point_agrees_only_with_the_log_that_has_its_event() {
        let id = |number| Some(EventId(Uuid::from_u128(number)));
        let point = |position, id| LogPoint { position, id };
        assert!(LogPoint::START.agrees_with(None));
        assert!(point(7, id(1)).agrees_with(id(1)));
        assert!(!point(7, id(1)).agrees_with(id(2)), "another event stands there");
        assert!(!point(7, id(1)).agrees_with(None), "the log ends before it");
        assert!(!point(7, None).agrees_with(None));
        assert!(point(7, None).agrees_with(id(2)), "nothing is known that could differ");
    }
}
