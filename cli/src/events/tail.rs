//! Shows the last events of the log, and follows new ones.

use clap::Args;
use database::Schema;
use event_store::{Entry, EventStore, LogRange};
use futures::StreamExt as _;

use super::{
    page::PAGE,
    show::{to_json, unreadable_to_json},
};
use crate::{output, platform, settings::Settings};

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Begin at this position instead of near the end
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Number of events, without --from
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N", conflicts_with = "from")]
    lines: usize,
    /// Follow new events until interrupted
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

impl Tail {
    pub(super) async fn run(&self, settings: &Settings, store: &dyn EventStore) -> anyhow::Result<()> {
        if self.follow {
            platform::require_followable(&settings.storage, Schema::EventStore).await?;
        }
        let head = store.head().await?;
        match self.from {
            Some(from) => {
                let mut pages = LogRange::new(store, from.saturating_sub(1), head, PAGE);
                while let Some(page) = pages.next().await? {
                    self.print_wanted(&page.entries)?;
                }
            }
            None => self.print_wanted(&self.last(store, head).await?)?,
        }
        if self.follow {
            let after = head.max(self.from.unwrap_or(0).saturating_sub(1));
            output::while_somebody_reads(self.go_on(store, after)).await?;
        }
        Ok(())
    }

    async fn go_on(&self, store: &dyn EventStore, after: u64) -> anyhow::Result<()> {
        let mut pages = store.subscribe(after);
        while let Some(page) = pages.next().await {
            self.print_wanted(&page.entries)?;
        }
        Ok(())
    }

    /// Finds the last matching events by reading backwards from the end, in windows of positions. Where positions do
    /// not count events, one window has the whole log: where another one begins, no record does, and the store would
    /// read the log from its start to find the next record.
    async fn last(&self, store: &dyn EventStore, head: u64) -> anyhow::Result<Vec<Entry>> {
        let mut found: Vec<Entry> = Vec::new();
        let mut until = head;
        let mut window = match store.positions_are_dense() {
            true => self.lines as u64,
            false => head,
        };
        while found.len() < self.lines && until > 0 {
            let start = until.saturating_sub(window);
            let mut here = Vec::new();
            let mut pages = LogRange::new(store, start, until, PAGE);
            while let Some(page) = pages.next().await? {
                here.extend(page.entries.into_iter().filter(|entry| self.wants(entry)));
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
            Ok(event) => (&event.stream, event.kind.as_str()),
            Err(unreadable) => (&unreadable.stream, &*unreadable.kind),
        };
        self.stream.as_ref().is_none_or(|wanted| wanted == stream.as_str())
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
    }

    fn print_wanted(&self, entries: &[Entry]) -> anyhow::Result<()> {
        let mut wanted = entries.iter().filter(|entry| self.wants(entry));
        wanted.try_for_each(|entry| self.print(entry))
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
