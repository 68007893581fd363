//! The log, read in parts that are hashed on several processors.

use std::sync::Arc;

use event_store::EventStore;
use events::StoredEvent;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use transparency_log::{Hash, entry_hash};

use super::verification::Verification;
use crate::{EventHeader, VerifyError, comparison::Leaf, reading::signed};

/// Positions of which each part of the log consists that is read and hashed at once: whole tiles.
const PART: u64 = 8_192;
/// Parts in hand at the same time.
const PARALLEL: usize = 4;
/// Records read at once, so that a part is whole pages.
const PAGE: usize = 2_048;

/// Events of the log, read and hashed.
pub(super) type Part = Vec<(Leaf, EventHeader)>;

/// The events of the log in order, a part at a time.
pub(super) fn parts<'a>(
    store: &'a Arc<dyn EventStore>,
    head: u64,
) -> std::pin::Pin<Box<dyn Stream<Item = Result<Part, VerifyError>> + Send + 'a>> {
    if store.positions_are_dense() {
        let count = head.div_ceil(PART).max(1);
        let ranges = (0..count).map(move |part| {
            // What stands before the first position or after the last one is read, too.
            let after = if part == 0 { i64::MIN } else { signed(part * PART) };
            let to = if part + 1 == count {
                i64::MAX
            } else {
                signed((part + 1) * PART)
            };
            part_of(Arc::clone(store), after, to)
        });
        return Box::pin(stream::iter(ranges).buffered(PARALLEL));
    }
    let pages = stream::try_unfold(Some(i64::MIN), move |after| async move {
        let Some(after) = after else { return Ok(None) };
        let page = store.stored_page(after, PAGE).await?;
        let next = page
            .events
            .last()
            .filter(|_| page.more)
            .map(|event| event.position);
        Ok::<_, VerifyError>(Some((page.events, next)))
    });
    Box::pin(pages.map_ok(hashed).try_buffered(PARALLEL))
}

/// The events after `after` up to `to`.
async fn part_of(store: Arc<dyn EventStore>, mut after: i64, to: i64) -> Result<Part, VerifyError> {
    let mut part = Vec::new();
    loop {
        let mut page = store.stored_page(after, PAGE).await?;
        let read = page.events.len();
        page.events.retain(|event| event.position <= to);
        let is_last = !page.more || page.events.len() < read;
        let Some(last) = page.events.last() else {
            return Ok(part);
        };
        after = last.position;
        part.extend(hashed(page.events).await?);
        if is_last || after == to {
            return Ok(part);
        }
    }
}

async fn hashed(events: Vec<StoredEvent>) -> Result<Part, VerifyError> {
    let hash = move || {
        let leaf = |event: &StoredEvent| Leaf {
            position: event.position,
            entry: entry_hash(&event.canonical()),
        };
        let hashed = events.iter().map(|event| (leaf(event), EventHeader::of(event)));
        hashed.collect()
    };
    tokio::task::spawn_blocking(hash)
        .await
        .map_err(|error| VerifyError::BrokenOff(error.to_string()))
}

/// The leaves where they should be: in a log without gaps, an empty leaf stands for each event that is missing, so that those
/// after it are compared with what they were.
pub(super) fn aligned(is_dense: bool, size: u64, leaves: Vec<Leaf>, report: &mut Verification) -> Vec<Leaf> {
    if !is_dense {
        return leaves;
    }
    let mut aligned: Vec<Leaf> = Vec::with_capacity(leaves.len());
    let mut note = |position: i64, what: String| {
        report.differs_at(position);
        if report.differences.len() < 10 {
            report.differences.push(what);
        }
    };
    for leaf in leaves {
        let expected = signed(size) + 1 + signed(aligned.len() as u64);
        if leaf.position < expected {
            note(
                leaf.position,
                format!(
                    "an event stands at position {}, where there can be none",
                    leaf.position
                ),
            );
            continue;
        }
        if leaf.position > expected {
            note(
                expected,
                match leaf.position - expected {
                    1 => format!("the event at position {expected} is missing"),
                    _ => format!(
                        "the events from position {expected} to {} are missing",
                        leaf.position - 1
                    ),
                },
            );
            // No more than a part of them: what is beyond that differs anyway.
            let missing = (leaf.position - expected).min(signed(PART));
            aligned.extend((0..missing).map(|offset| Leaf {
                position: expected + offset,
                entry: Hash::default(),
            }));
        }
        aligned.push(leaf);
    }
    aligned
}
