//! The order of the log is that of the acknowledgements, whoever sent the commands and whichever process took them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use events::RecordedEvent;

/// When a request was sent for the first time, and when it was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period {
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
}

/// An acknowledged command and the positions of its events.
struct Placed<'a> {
    key: &'a str,
    period: Period,
    first: u64,
    last: u64,
}

/// Checks that the events of a command that was sent after another one was acknowledged come after those of that one.
pub(crate) fn positions_follow_the_acknowledgements<'a>(
    log: &[&RecordedEvent],
    acknowledged: impl IntoIterator<Item = (&'a str, Period)>,
) {
    let mut places: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for event in log {
        if let Some(key) = &event.metadata.idempotency_key {
            let position = event.position;
            let (first, last) = places.entry(key).or_insert((position, position));
            (*first, *last) = ((*first).min(position), (*last).max(position));
        }
    }
    let placed = acknowledged.into_iter().filter_map(|(key, period)| {
        let (first, last) = *places.get(key)?;
        Some(Placed { key, period, first, last })
    });
    are_in_order(&placed.collect::<Vec<_>>());
}

fn are_in_order(commands: &[Placed<'_>]) {
    let mut by_sending: Vec<&Placed<'_>> = commands.iter().collect();
    by_sending.sort_by_key(|command| command.period.sent);
    let mut by_answer: Vec<&Placed<'_>> = commands.iter().collect();
    by_answer.sort_by_key(|command| command.period.answered);
    let mut by_answer = by_answer.into_iter().peekable();
    let mut furthest: Option<&Placed<'_>> = None;
    for command in by_sending {
        while let Some(earlier) = by_answer.next_if(|earlier| earlier.period.answered < command.period.sent) {
            if furthest.is_none_or(|furthest| furthest.last < earlier.last) {
                furthest = Some(earlier);
            }
        }
        if let Some(earlier) = furthest {
            assert!(
                command.first > earlier.last,
                "{} was sent after {} was acknowledged, and is at {} before {}",
                command.key,
                earlier.key,
                command.first,
                earlier.last
            );
        }
    }
}

/// Commands with the seconds at which they were sent and answered, and their positions.
fn check(commands: &[(u64, u64, u64, u64)]) {
    let begun = Instant::now();
    let at = |seconds| begun + Duration::from_secs(seconds);
    let placed = commands.iter().map(|&(sent, answered, first, last)| Placed {
        key: "key",
        period: Period { sent: at(sent), answered: at(answered) },
        first,
        last,
    });
    are_in_order(&placed.collect::<Vec<_>>());
}

#[test]
fn commands_that_are_sent_at_the_same_time_have_any_order() {
    check(&[(0, 3, 5, 6), (1, 4, 1, 2), (2, 5, 3, 4), (6, 7, 7, 7)]);
}

#[test]
#[should_panic(expected = "and is at 4 before 5")]
fn a_command_after_an_acknowledgement_has_a_later_position() {
    check(&[(0, 1, 1, 3), (2, 4, 5, 5), (0, 6, 6, 6), (5, 7, 4, 4)]);
}
