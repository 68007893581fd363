//! Which events belong to what ended long ago, as the log says.

use std::collections::{BTreeSet, HashMap};

use ::events::{ClosedStreams, Droppable, EventDigest, StoredEvent, StreamName, Timestamp};
use anyhow::{bail, ensure};
use database::Database;
use event_store::{EventStore, Gaps, describe_gap};

use crate::{events::PAGE, progress::ProgressDisplay};

/// The streams whose payloads may be dropped.
pub(super) struct Ended {
    streams: HashMap<StreamName, Droppable>,
    /// The position of the last event that may be one of theirs.
    pub(super) to: u64,
}

impl Ended {
    /// Reads the whole log. A stream with parked events is still needed; so is every stream that has not been projected.
    pub(super) async fn find(
        opened: &dyn EventStore,
        read_models: &Database,
        before: Timestamp,
    ) -> anyhow::Result<Self> {
        let head = opened.head().await?;
        let mut closed = ClosedStreams::before(before);
        let mut gaps = Gaps::after(opened, 0);
        let (mut display, mut after, mut to) = (ProgressDisplay::new(), 0, 0);
        while after < head {
            let page = opened.log_page(after, PAGE).await?;
            let Some(last) = page.position() else { break };
            after = last;
            for entry in &page.entries {
                let position = event_store::position(entry);
                if let Some(gap) = gaps.before(position) {
                    bail!(describe_gap(&gap));
                }
                match entry {
                    Ok(event) => closed.push(event),
                    Err(unreadable) => closed.push_unreadable(&unreadable.stream),
                }
                if entry.as_ref().is_ok_and(|event| event.recorded_at < before) {
                    to = position;
                }
            }
            display.show(0, after, head);
        }
        display.end();
        let reached = projector::completed(read_models).await?;
        ensure!(
            reached >= to,
            "the read models are at position {reached}, and need the events up to {to}: start the system, and try again later"
        );
        let mut streams = closed.finish();
        for parked in projector::parked(read_models).await? {
            streams.remove(&parked.stream);
        }
        Ok(Self { streams, to })
    }

    /// Whether the payload of `event` is there and may be dropped.
    pub(super) fn has(&self, event: &StoredEvent) -> bool {
        event.data.whole().is_some() && self.may_drop(&event.stream, event.version)
    }

    fn may_drop(&self, stream: &str, version: i64) -> bool {
        let stream = self.streams.get(&StreamName::raw(stream));
        stream.is_some_and(|stream| u64::try_from(version).is_ok_and(|version| version <= stream.up_to))
    }

    /// Why the payload of an event may not be dropped.
    pub(super) fn check(&self, event: &EventDigest) -> Result<(), String> {
        match self.may_drop(&event.stream, event.version) {
            true => Ok(()),
            false => Err(format!(
                "version {} of the stream {} is still needed, so that this is another export",
                event.version, event.stream
            )),
        }
    }

    /// The streams of `events` of which no row can be made any more.
    pub(super) fn without_rows(&self, events: &[EventDigest]) -> Vec<StreamName> {
        let streams: BTreeSet<StreamName> = events
            .iter()
            .map(|event| StreamName::raw(&*event.stream))
            .filter(|name| {
                self.streams
                    .get(name)
                    .is_some_and(|stream| stream.is_whole_stream)
            })
            .collect();
        streams.into_iter().collect()
    }
}
