//! Pages of the log, and the events at given positions of it, on a server that others may write to.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use events::EventId;
use kurrentdb_protocol::event_store::client::streams::read_resp::read_event::RecordedEvent as WireEvent;

use super::{
    KurrentDbStore,
    bounds::{CHUNK, LAST},
    connection::Node,
    failure::{Failure, unavailable},
    read_call::{Read, record_at},
    record,
};
use crate::{PAGE_BYTES, StoreError};

/// The time limit for a page, which may have to skip many events of others.
const LOG_DEADLINE: Duration = Duration::from_secs(60);

impl KurrentDbStore {
    /// The records of the log after `after`, decoded by `read`, and whether there may be more.
    pub(super) async fn log_records<T: Send>(
        &self,
        after: u64,
        limit: usize,
        read: impl Fn(WireEvent, &str) -> Option<T> + Send + Sync + Copy,
    ) -> Result<(Vec<T>, bool), StoreError> {
        if after > LAST || limit == 0 {
            return Ok((Vec::new(), limit == 0));
        }
        let page = async |from: u64| {
            let page = |node: Node| async move { self.page_from(&node, from, after, limit, read).await };
            self.connection.run(LOG_DEADLINE, page).await
        };
        let page = match page(self.end.skip(after)).await {
            // The log was cut, and continues differently.
            Err(Failure::NoSuchPosition) => page(0).await,
            page => page,
        };
        page.map_err(unavailable)
    }

    /// Up to `limit` records of the log after `after`, read from the record at `from` on.
    async fn page_from<T: Send>(
        &self,
        node: &Node,
        mut from: u64,
        after: u64,
        limit: usize,
        made: impl Fn(WireEvent, &str) -> Option<T> + Send + Sync,
    ) -> Result<(Vec<T>, bool), Failure> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        // Meanwhile the end of the log is looked for, so that the read does not continue through all later events of
        // others.
        let find = self.end.find();
        tokio::pin!(find);
        let (mut end, mut is_searching) = (None, true);
        while entries.len() < limit && bytes < PAGE_BYTES {
            // As long as `after` is not reached, nothing says how many records there are before it.
            let wanted = if from < after { CHUNK } else { limit - entries.len() };
            let count = wanted.min(CHUNK).saturating_add(usize::from(from > 0));
            let mut seen = 0;
            let read = Read::log(from, count).of(self.connection.prefix());
            let reading = read.start(node, &self.connection);
            tokio::pin!(reading);
            let mut open = None;
            loop {
                if end.is_some_and(|end| from.max(after) >= end) {
                    return Ok((entries, false));
                }
                let next = async {
                    let open = match &mut open {
                        Some(open) => open,
                        open => open.insert(reading.as_mut().await?),
                    };
                    open.next_event().await
                };
                let event = tokio::select! {
                    found = &mut find, if is_searching => {
                        (end, is_searching) = (found?, false);
                        continue;
                    }
                    event = next => event?,
                };
                let Some(event) = event else { break };
                seen += 1;
                let at = event.commit_position;
                if at <= from || entries.len() >= limit || bytes >= PAGE_BYTES {
                    continue;
                }
                from = at;
                if at > after {
                    bytes += record::size_in_page(&event);
                    entries.extend(made(event, self.connection.prefix()));
                }
            }
            if seen < count && entries.len() < limit && bytes < PAGE_BYTES {
                return Ok((entries, false));
            }
        }
        Ok((entries, true))
    }

    /// Our record at `position`, decoded by `read`, if there is one.
    pub(super) async fn one_record<T>(
        &self,
        position: u64,
        read: impl FnOnce(WireEvent, &str) -> Option<T> + Send,
    ) -> Result<Option<T>, StoreError> {
        if !(1..=LAST).contains(&position) {
            return Ok(None);
        }
        let event = record_at(&self.connection, position).await.map_err(unavailable)?;
        Ok(event.and_then(|event| read(event, self.connection.prefix())))
    }

    /// The id of our event at each of `positions`, if there is one.
    pub(super) async fn ids_at(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        let mut wanted: BTreeSet<u64> =
            positions.iter().copied().filter(|position| (1..=LAST).contains(position)).collect();
        let mut found = HashMap::new();
        // A read begins at the first position, and also answers later ones that are close.
        while let Some(first) = wanted.first().copied() {
            let read = |node: Node| {
                let (wanted, count) = (&wanted, wanted.len().min(CHUNK));
                async move {
                    let mut reading = Read::log(first, count).start(&node, &self.connection).await?;
                    // The events may be others', and large: only what is asked for is kept, and no more than a page
                    // is read.
                    let (mut ids, mut last, mut bytes) = (Vec::new(), first, 0);
                    while bytes < PAGE_BYTES
                        && let Some(event) = reading.next_event().await?
                    {
                        last = event.commit_position.max(last);
                        bytes += record::size_in_page(&event);
                        if wanted.contains(&event.commit_position)
                            && record::is_ours(&event, self.connection.prefix())
                        {
                            ids.push((event.commit_position, record::event_id(&event)));
                        }
                    }
                    Ok((ids, last))
                }
            };
            let deadline = self.connection.settings.deadline;
            let (ids, last) = match self.connection.run(deadline, read).await {
                // No record begins there.
                Err(Failure::NoSuchPosition) => (Vec::new(), first),
                read => read.map_err(unavailable)?,
            };
            found.extend(ids);
            wanted.retain(|position| *position > last);
        }
        Ok(positions.iter().map(|position| found.get(position).copied()).collect())
    }
}
