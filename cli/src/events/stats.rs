//! How many events of each type and how many streams of each kind the log has.

use std::collections::BTreeMap;

use ::events::Timestamp;
use event_store::{Entry, EventStore, LogRange, MissingPositions, describe_gap, position};
use serde_json::json;

use super::page::PAGE;
use crate::output;

/// Counters of one pass over the log. They grow with the number of types, not with the log.
#[derive(Debug, Default)]
struct Stats {
    events: u64,
    unreadable: u64,
    dropped: u64,
    bytes: u64,
    types: BTreeMap<String, u64>,
    streams: BTreeMap<String, u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Stats {
    fn take(&mut self, entry: Entry) {
        self.events += 1;
        let Ok(event) = entry else {
            self.unreadable += 1;
            return;
        };
        self.dropped += u64::from(event.is_dropped());
        self.bytes += event.data.len() as u64;
        if event.version == 1 {
            let kind = event.stream.as_str().split('-').next().unwrap_or_default();
            *self.streams.entry(kind.to_owned()).or_default() += 1;
        }
        *self.types.entry(event.kind).or_default() += 1;
        self.first.get_or_insert(event.recorded_at);
        self.last = Some(event.recorded_at);
    }
}

pub(super) async fn stats(store: &dyn EventStore, json: bool) -> anyhow::Result<()> {
    let head = store.head().await?;
    let mut stats = Stats::default();
    let (mut gaps, mut missing) = (MissingPositions::after(store, 0), Vec::new());
    let mut pages = LogRange::new(store, 0, head, PAGE);
    while let Some(page) = pages.next().await? {
        for entry in page.entries {
            missing.extend(gaps.before(position(&entry)));
            stats.take(entry);
        }
    }
    if json {
        return output::json(&json!({
            "head": head,
            "events": stats.events,
            "unreadable": stats.unreadable,
            "dropped": stats.dropped,
            "data_bytes": stats.bytes,
            "first_recorded_at": stats.first.map(|at| at.to_string()),
            "last_recorded_at": stats.last.map(|at| at.to_string()),
            "types": stats.types,
            "streams": stats.streams,
            "missing_positions": missing.iter().map(|gap| [gap.start(), gap.end()]).collect::<Vec<_>>(),
        }));
    }
    let or_dash = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    output::line(&format!("head    {head}"))?;
    output::line(&format!("events  {}, {} bytes of data", stats.events, stats.bytes))?;
    if stats.unreadable > 0 {
        output::line(&format!("        {} of them cannot be read", stats.unreadable))?;
    }
    if stats.dropped > 0 {
        output::line(&format!("        the payloads of {} were dropped", stats.dropped))?;
    }
    for gap in &missing {
        output::line(&describe_gap(gap))?;
    }
    output::line(&format!("first   {}", or_dash(stats.first)))?;
    output::line(&format!("last    {}\n", or_dash(stats.last)))?;
    output::table(&["type", "events"], &rows(stats.types))?;
    output::line("")?;
    output::table(&["kind of stream", "streams"], &rows(stats.streams))
}

fn rows(counts: BTreeMap<String, u64>) -> Vec<Vec<String>> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(name, count)| vec![name, count.to_string()]).collect()
}
