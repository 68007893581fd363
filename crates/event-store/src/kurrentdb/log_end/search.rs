//! Searches for our last event, and the marks that make the search short.

use std::{sync::Arc, time::Duration};

use kurrentdb_protocol::event_store::client::streams::read_resp::read_event::RecordedEvent as WireEvent;
use tokio::time::timeout;

use super::record_position::{Mark, RecordPosition};
use crate::kurrentdb::{
    connection::Connection,
    failure::Failure,
    read_call::{Read, Reading, first_event, record_at},
    record,
    writer::{Expected, Writer},
};

/// The time limit of the first search, on a server with many events of others.
const SEARCH_DEADLINE: Duration = Duration::from_secs(3_600);
/// The stream of the marks, after the prefix.
const MARKS: &str = "taskledger.log-end";

/// Our events among those of others, as the server has them.
#[derive(Clone)]
pub(super) struct OurEvents {
    connection: Arc<Connection>,
}

impl OurEvents {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    /// Our last event before `end`, searched backwards.
    pub(super) async fn search(self, end: RecordPosition) -> Result<Option<RecordPosition>, Failure> {
        let searching = async {
            // The record at the end itself is not before it.
            if let Some(event) = record_at(&self.connection, end.position).await?
                && self.is_ours(&event)
            {
                return Ok(Some(end));
            }
            let mut back = self.reading(Read::log_backwards(Some(end.position), usize::MAX)).await?;
            while let Some(event) = back.next_event().await? {
                if self.is_ours(&event) {
                    return Ok(Some(RecordPosition::of(&event)));
                }
                if let Some(mark) = self.mark(&event)
                    && let Some(found) = self.since(&mark, event.commit_position).await?
                {
                    return Ok(found);
                }
            }
            Ok(None)
        };
        timeout(SEARCH_DEADLINE, searching).await.unwrap_or(Err(Failure::Late))
    }

    /// Our last event before the mark at `position`; `None` if the mark is wrong.
    async fn since(&self, mark: &Mark, position: u64) -> Result<Option<Option<RecordPosition>>, Failure> {
        let mut last = mark.last;
        let mut reading = self.reading(Read::log(mark.examined, usize::MAX)).await?;
        while let Some(event) = reading.next_event().await? {
            if event.commit_position >= position {
                break;
            }
            if self.is_ours(&event) {
                last = Some(RecordPosition::of(&event));
            }
        }
        Ok(self.has_last(last).await?.then_some(last))
    }

    /// A filtered read of the log.
    pub(super) async fn reading(&self, read: Read) -> Result<Reading, Failure> {
        let node = self.connection.node().await?;
        let started = read.of(self.connection.prefix()).start(&node, &self.connection).await;
        if let Err(failure) = &started {
            self.connection.failed(&node, failure, None).await;
        }
        started
    }

    /// The last record of the server.
    pub(super) async fn server_end(&self) -> Result<Option<RecordPosition>, Failure> {
        let event = first_event(&self.connection, || Read::log_backwards(None, 1)).await?;
        Ok(event.map(|event| RecordPosition::of(&event)))
    }

    pub(super) async fn has(&self, place: RecordPosition) -> Result<bool, Failure> {
        let found = record_at(&self.connection, place.position).await?;
        Ok(found.is_some_and(|event| RecordPosition::of(&event) == place))
    }

    pub(super) async fn has_last(&self, last: Option<RecordPosition>) -> Result<bool, Failure> {
        match last {
            Some(last) => self.has(last).await,
            None => Ok(true),
        }
    }

    pub(super) fn is_ours(&self, event: &WireEvent) -> bool {
        record::is_ours(event, self.connection.prefix())
    }

    pub(super) fn marks(&self) -> String {
        format!("{}{MARKS}", self.connection.prefix())
    }

    fn mark(&self, event: &WireEvent) -> Option<Mark> {
        if record::stream(event)? != self.marks() {
            return None;
        }
        serde_json::from_slice(&event.data).ok()
    }
}

/// Writes a mark. A failure does no harm.
pub(super) async fn leave_mark(
    writer: Arc<Writer>,
    stream: String,
    examined: RecordPosition,
    last: Option<RecordPosition>,
) {
    let mark = Mark { examined: examined.position, last };
    let Ok(data) = serde_json::to_vec(&mark) else {
        return;
    };
    let event =
        record::binary(runtime::new_id(), "taskledger.log-end".to_owned(), data.into(), Default::default());
    let written = writer.append(&stream, Expected::Any, vec![event]).await;
    if written.is_err() {
        tracing::debug!("no mark of the log's end was left");
    }
}
