//! Reads the log in parts and computes their hashes on several processors.

use std::{collections::VecDeque, sync::Arc};

use event_store::{EventStore, StoredEvents};
use events::StoredEvent;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use runtime::signed;
use transparency_log::{Hash, entry_hash};

use super::verification::Verification;
use crate::{EventHeader, VerifyError, comparison::Leaf};

/// The number of positions in a part of the log, which are those of whole tiles.
const PART: u64 = 8_192;
/// The number of parts that are read and hashed at the same time.
const PARALLEL: usize = 4;

/// Consecutive events of the log with their hashes.
pub(super) type Part = Vec<(Leaf, EventHeader)>;

/// The events of the log in order, a part at a time.
pub(super) fn parts<'a>(
    store: &'a Arc<dyn EventStore>,
    head: u64,
) -> std::pin::Pin<Box<dyn Stream<Item = Result<Part, VerifyError>> + Send + 'a>> {
    if !store.positions_are_dense() {
        return Box::pin(pages(store, i64::MIN));
    }
    let count = head / PART;
    let ranges = (0..count).map(move |part| {
        // Records before the first position are read, too, so that they are reported.
        let after = if part == 0 { i64::MIN } else { signed(part * PART) };
        part_of(Arc::clone(store), after, signed((part + 1) * PART))
    });
    // So are those after the last position. There may be many of them by then.
    let after = if count == 0 { i64::MIN } else { signed(count * PART) };
    Box::pin(stream::iter(ranges).buffered(PARALLEL).chain(pages(store, after)))
}

/// The events after `after`, a page at a time, until there are no more.
fn pages(
    store: &Arc<dyn EventStore>,
    after: i64,
) -> impl Stream<Item = Result<Part, VerifyError>> + Send + '_ {
    let log = StoredEvents::new(&**store, after, i64::MAX);
    let pages = stream::try_unfold(log, |mut log| async move {
        Ok::<_, VerifyError>(log.next_page().await?.map(|page| (page, log)))
    });
    pages.map_ok(hashed).try_buffered(PARALLEL)
}

/// The events after `after` up to `to`.
async fn part_of(store: Arc<dyn EventStore>, after: i64, to: i64) -> Result<Part, VerifyError> {
    let mut log = StoredEvents::new(&*store, after, to);
    let mut part = Vec::new();
    while let Some(page) = log.next_page().await? {
        part.extend(hashed(page).await?);
    }
    Ok(part)
}

async fn hashed(events: VecDeque<StoredEvent>) -> Result<Part, VerifyError> {
    let hash = move || {
        let leaf =
            |event: &StoredEvent| Leaf { position: event.position, entry: entry_hash(&event.canonical()) };
        let hashed = events.iter().map(|event| (leaf(event), EventHeader::of(event)));
        hashed.collect()
    };
    tokio::task::spawn_blocking(hash).await.map_err(|error| VerifyError::BrokenOff(error.to_string()))
}

/// Puts each leaf at its index in the tree. In a log without gaps, an empty leaf takes the place of each missing event,
/// so that the events after it are compared with their own leaves.
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
                format!("an event stands at position {}, where there can be none", leaf.position),
            );
            continue;
        }
        if leaf.position > expected {
            note(
                expected,
                match leaf.position - expected {
                    1 => format!("the event at position {expected} is missing"),
                    _ => format!("the events from position {expected} to {} are missing", leaf.position - 1),
                },
            );
            // One part of empty leaves is enough, since all leaves after them differ anyway.
            let missing = (leaf.position - expected).min(signed(PART));
            aligned.extend(
                (0..missing).map(|offset| Leaf { position: expected + offset, entry: Hash::default() }),
            );
        }
        aligned.push(leaf);
    }
    aligned
}

#[cfg(test)]
mod tests {
    use database::Database;
    use events::{StreamName, UserId};

    use super::*;

    /// While a large log is verified, it may grow by more events than fit into memory.
    #[tokio::test(flavor = "multi_thread")]
    async fn whatever_was_appended_meanwhile_is_read_in_parts_too() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("events.db"));
        let store = event_store::open(&url, 2).await.unwrap();
        let stream = StreamName::raw("task-1");
        for batch in 0..10 {
            let event = |_| test_support::event(UserId::NOBODY, "task.deleted", "{}");
            let events = (0..1_000).map(event).collect();
            store.append(&stream, batch * 1_000, events).await.unwrap();
        }
        for head in [1, PART, PART + 1] {
            let parts: Vec<Part> = parts(&store, head).try_collect().await.unwrap();
            let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
            assert_eq!(sizes.iter().sum::<usize>(), 10_000, "{head}: {sizes:?}");
            let after_the_head = &sizes[usize::try_from(head / PART).unwrap()..];
            assert!(after_the_head.iter().all(|size| *size <= 2_048), "{head}: {sizes:?}");
        }
    }
}
