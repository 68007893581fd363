//! Looking into the log: its end, one event or stream, and what there is of each type.

use std::{collections::BTreeMap, process::ExitCode};

use ::events::{RecordedEvent, SECRET_MEMBERS, StreamName, Timestamp};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use event_store::{Entry, EventStore, Gaps, Unreadable, describe_gap, position};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::{output, platform, settings::Settings};

/// Events read at once.
const PAGE: usize = 2_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the last events of the log, one a line, and with --follow those that come
    Tail(Tail),
    /// Show one event, or all of a stream, with what they say
    Show {
        /// A position in the log, or the name of a stream: task-UUID, account-UUID, session-UUID, email-HMAC
        what: String,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Count the events of each type and the streams of each kind
    Stats {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Begin at this position instead of near the end
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Without --from: so many events
    #[arg(
        long,
        short = 'n',
        default_value_t = 20,
        value_name = "N",
        conflicts_with = "from"
    )]
    lines: usize,
    /// Go on with events as they are appended, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Only events of this stream
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Only events of this type, for example task.created
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let store = platform::existing_opened_event_store(settings).await?;
    let store = store.as_ref();
    match command {
        Command::Tail(tail) => tail.run(store).await?,
        Command::Show { what, json } => show(store, &what, json).await?,
        Command::Stats { json } => stats(store, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Tail {
    async fn run(&self, store: &dyn EventStore) -> anyhow::Result<()> {
        let head = store.head().await?;
        match self.from {
            Some(from) => {
                let mut after = from.saturating_sub(1);
                while after < head {
                    let page = store.log_page(after, PAGE).await?;
                    let Some(last) = page.position() else { break };
                    after = last;
                    for entry in page
                        .entries
                        .iter()
                        .filter(|entry| position(entry) <= head && self.wants(entry))
                    {
                        self.print(entry)?;
                    }
                }
            }
            None => {
                for entry in &self.last(store, head).await? {
                    self.print(entry)?;
                }
            }
        }
        if self.follow {
            let mut pages = store.subscribe(head.max(self.from.unwrap_or(0).saturating_sub(1)));
            while let Some(page) = pages.next().await {
                for entry in page.entries.iter().filter(|entry| self.wants(entry)) {
                    self.print(entry)?;
                }
            }
        }
        Ok(())
    }

    /// The last events that are wanted, looked for from the end backwards.
    async fn last(&self, store: &dyn EventStore, head: u64) -> anyhow::Result<Vec<Entry>> {
        let mut found: Vec<Entry> = Vec::new();
        let mut until = head;
        let mut window = self.lines as u64;
        while found.len() < self.lines && until > 0 {
            let start = until.saturating_sub(window);
            let (mut after, mut here) = (start, Vec::new());
            while after < until {
                let page = store.log_page(after, PAGE).await?;
                let Some(last) = page.position() else { break };
                after = last;
                here.extend(
                    page.entries
                        .into_iter()
                        .filter(|entry| position(entry) <= until && self.wants(entry)),
                );
                let surplus = here.len().saturating_sub(self.lines);
                here.drain(..surplus);
            }
            here.append(&mut found);
            found = here;
            until = start;
            window = window.saturating_mul(2);
        }
        let surplus = found.len().saturating_sub(self.lines);
        found.drain(..surplus);
        Ok(found)
    }

    fn wants(&self, entry: &Entry) -> bool {
        let (stream, kind) = match entry {
            Ok(event) => (&event.stream, &event.kind),
            Err(unreadable) => (&unreadable.stream, &unreadable.kind),
        };
        self.stream
            .as_ref()
            .is_none_or(|wanted| wanted == stream.as_str())
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
    }

    fn print(&self, entry: &Entry) -> anyhow::Result<()> {
        match entry {
            Ok(event) if self.json => output::json(&to_json(event)),
            Ok(event) => output::line(&format!(
                "{:>10}  {:<27}  {:<24}  {} v{}",
                event.position,
                event.recorded_at.to_string(),
                event.kind,
                event.stream,
                event.version
            )),
            Err(unreadable) if self.json => output::json(&unreadable_to_json(unreadable)),
            Err(unreadable) => output::line(&format!(
                "{:>10}  {:<27}  {:<24}  {} v{}: {}",
                unreadable.position,
                "cannot be read",
                unreadable.kind,
                unreadable.stream,
                unreadable.version,
                unreadable.reason
            )),
        }
    }
}

async fn show(store: &dyn EventStore, what: &str, json: bool) -> anyhow::Result<()> {
    if let Ok(wanted) = what.parse::<u64>() {
        let page = store.log_page(wanted.saturating_sub(1), 1).await?;
        let entry = page.entries.iter().find(|entry| position(entry) == wanted);
        let entry = entry.with_context(|| format!("the log has no event at position {wanted}"))?;
        return show_entry(entry, json);
    }
    let stream = StreamName::raw(what);
    let mut version = 0;
    loop {
        let page = store.stream_page(&stream, version, PAGE).await?;
        match page.version() {
            Some(last) => version = last,
            None if version == 0 => bail!("the log has no stream {stream}"),
            None => return Ok(()),
        }
        for entry in &page.entries {
            show_entry(entry, json)?;
        }
    }
}

fn show_entry(entry: &Entry, json: bool) -> anyhow::Result<()> {
    match entry {
        Ok(event) => show_one(event, json),
        Err(unreadable) if json => output::json(&unreadable_to_json(unreadable)),
        Err(unreadable) => output::line(&format!(
            "{}  {}\n  stream          {} v{}\n  cannot be read  {}",
            unreadable.position, unreadable.kind, unreadable.stream, unreadable.version, unreadable.reason
        )),
    }
}

fn unreadable_to_json(unreadable: &Unreadable) -> Value {
    json!({
        "position": unreadable.position,
        "stream": unreadable.stream.as_str(),
        "version": unreadable.version,
        "type": unreadable.kind,
        "unreadable": unreadable.reason,
    })
}

fn show_one(event: &RecordedEvent, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&to_json(event));
    }
    let metadata = &event.metadata;
    let mut lines = vec![
        format!("{}  {}", event.position, event.kind),
        format!("  stream          {} v{}", event.stream, event.version),
        format!("  recorded at     {}", event.recorded_at),
        format!("  event id        {}", event.id),
        format!("  schema version  {}", event.schema_version),
        format!("  subject         {}", metadata.subject),
        format!("  actor           {}", metadata.actor),
        format!("  correlation id  {}", metadata.correlation_id),
        format!("  causation id    {}", metadata.causation_id),
    ];
    if let Some(traceparent) = &metadata.traceparent {
        lines.push(format!("  traceparent     {traceparent}"));
    }
    if let Some(key) = &metadata.idempotency_key {
        lines.push(format!("  idempotency key {key}"));
    }
    let data = serde_json::to_string_pretty(&data(event))?;
    lines.extend(data.lines().map(|line| format!("  {line}")));
    output::line(&lines.join("\n"))
}

fn to_json(event: &RecordedEvent) -> Value {
    json!({
        "position": event.position,
        "stream": event.stream.as_str(),
        "version": event.version,
        "id": event.id.to_string(),
        "type": event.kind,
        "schema_version": event.schema_version,
        "recorded_at": event.recorded_at.to_string(),
        "metadata": event.metadata,
        "data": data(event),
    })
}

/// What the event says, without secrets; as text if it cannot be read.
fn data(event: &RecordedEvent) -> Value {
    match serde_json::from_slice::<Value>(&event.data) {
        Ok(mut data) => {
            if let Some(fields) = data.as_object_mut() {
                for (name, value) in fields {
                    if SECRET_MEMBERS.contains(&name.as_str()) {
                        *value = json!("***");
                    }
                }
            }
            data
        }
        Err(_) => json!(String::from_utf8_lossy(&event.data)),
    }
}

/// What a pass over the log counts. Grows with the number of types, not with the log.
#[derive(Debug, Default)]
struct Stats {
    events: u64,
    unreadable: u64,
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

async fn stats(store: &dyn EventStore, json: bool) -> anyhow::Result<()> {
    let head = store.head().await?;
    let (mut stats, mut after) = (Stats::default(), 0);
    let (mut gaps, mut missing) = (Gaps::after(store, 0), Vec::new());
    while after < head {
        let page = store.log_page(after, PAGE).await?;
        let Some(last) = page.position() else { break };
        after = last;
        for entry in page.entries.into_iter().filter(|entry| position(entry) <= head) {
            missing.extend(gaps.before(position(&entry)));
            stats.take(entry);
        }
    }
    if json {
        return output::json(&json!({
            "head": head,
            "events": stats.events,
            "unreadable": stats.unreadable,
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
    output::line(&format!(
        "events  {}, {} bytes of data",
        stats.events, stats.bytes
    ))?;
    if stats.unreadable > 0 {
        output::line(&format!("        {} of them cannot be read", stats.unreadable))?;
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
    counts
        .into_iter()
        .map(|(name, count)| vec![name, count.to_string()])
        .collect()
}
