//! The log in KurrentDB, over its published protocol. Versions are its revisions plus one, positions its commit
//! positions: they increase, with gaps. Streams and events that are not Taskledger's are ignored.

mod attempts;
mod batch;
mod bounds;
mod calls;
mod conflicts;
mod connection;
mod failure;
mod import;
mod log_end;
mod log_pages;
mod read_call;
mod record;
mod settings;
mod subscription;
mod writer;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use events::{EventDigest, EventId, LogPoint, NewEvent, StoredEvent, StreamName};
use futures::stream::BoxStream;
use kurrentdb_protocol::event_store::client::streams::{
    batch_append_req::ProposedMessage, read_resp::read_event::RecordedEvent as WireEvent,
};
use tokio::time::sleep;

use self::{
    bounds::{CHUNK, LAST, UNTIL_INDEXED},
    conflicts::Conflicts,
    connection::{Connection, Node},
    failure::{Failure, unavailable},
    log_end::LogEnd,
    read_call::{Read, first_event},
    settings::Settings,
    writer::{Expected, NotWritten, Writer},
};
use crate::{
    Appended, DropError, Entry, EventStore, ImportError, OpenError, PAGE_BYTES, Page, StoreError, StoredPage,
    StreamHead, UnfinishedImport, Unreadable, error::check_size,
};

/// The event store in KurrentDB.
pub struct KurrentDbStore {
    connection: Arc<Connection>,
    writer: Arc<Writer>,
    end: Arc<LogEnd>,
    conflicts: Conflicts,
}

impl fmt::Debug for KurrentDbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KurrentDbStore").field(&self.connection).finish()
    }
}

impl KurrentDbStore {
    /// Checks that [`Self::connect`] can read `url`, without connecting.
    ///
    /// # Errors
    /// When the connection string is wrong.
    pub fn check_url(url: &str) -> Result<(), OpenError> {
        Settings::parse(url).map(drop)
    }

    /// The store at `url`, a connection string of KurrentDB (`kurrentdb://…`, `esdb+discover://…`). There are two
    /// more parameters: `streamPrefix`, a prefix of all stream names, so that several logs can share a server, and
    /// `maxAppendSize`, the most bytes that the server accepts in one append.
    ///
    /// # Errors
    /// When the connection string is wrong, the server does not answer, or the user does not exist or may not read
    /// and append.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let connection = Connection::new(Settings::parse(url)?);
        let writer = Arc::new(Writer::new(Arc::clone(&connection)));
        let store = Self {
            end: LogEnd::new(Arc::clone(&connection), Arc::clone(&writer)),
            conflicts: Conflicts::default(),
            writer,
            connection,
        };
        let wrong = |what: &str, failure: &Failure| {
            store.connection.open_error(match failure {
                Failure::Unauthenticated => failure.to_string(),
                Failure::Denied(_) => format!("the user may not {what}"),
                failure => format!("there is no answer: {failure}"),
            })
        };
        let readable = first_event(&store.connection, || Read::log_backwards(None, 1)).await;
        readable.map_err(|failure| wrong("read $all, the log of the server", &failure))?;
        let writable = store.writer.probe().await;
        writable.map_err(|failure| wrong("append to streams", &failure))?;
        Ok(store)
    }

    /// Reads a stream, in one piece. `all` says that finding nothing proves that the stream never existed.
    async fn of_stream(
        &self,
        all: Option<&StreamName>,
        read: impl Fn() -> Read + Send + Sync,
    ) -> Result<Vec<WireEvent>, StoreError> {
        let read = |node: Node| {
            let (connection, read) = (&self.connection, read());
            async move {
                let mut reading = read.start(&node, connection).await?;
                let (mut events, mut bytes) = (Vec::new(), 0);
                while bytes < PAGE_BYTES
                    && let Some(event) = reading.next_event().await?
                {
                    bytes += record::size_in_page(&event);
                    events.push(event);
                }
                let is_lost = events.is_empty() && !reading.is_of_nothing;
                Ok((events, is_lost))
            }
        };
        let deadline = self.connection.settings.deadline;
        let (events, is_lost) = self.connection.run(deadline, read).await.map_err(unavailable)?;
        match all {
            Some(stream) if is_lost => Err(StoreError::Corrupt(format!(
                "stream {stream} has no event any more: it was truncated in KurrentDB"
            ))),
            _ => Ok(events),
        }
    }

    /// The last event of the stream `name` of the server. `all` is as in [`Self::of_stream`].
    async fn last_event(
        &self,
        all: Option<&StreamName>,
        name: &str,
    ) -> Result<Option<WireEvent>, StoreError> {
        loop {
            let last = self.of_stream(all, || Read::stream_end(name)).await?.pop();
            let version = last.as_ref().map_or(0, |event| event.stream_revision + 1);
            if !self.conflicts.is_behind(name, version) {
                return Ok(last);
            }
            sleep(UNTIL_INDEXED).await;
        }
    }

    /// Decodes `event` of `stream`, a stream that only this software writes.
    fn recorded_in(&self, stream: &StreamName, event: WireEvent) -> Entry {
        let foreign = Unreadable {
            position: event.commit_position,
            stream: stream.clone(),
            version: event.stream_revision + 1,
            id: Some(record::event_id(&event)),
            kind: record::kind(&event).into(),
            subject: None,
            reason: "it is not Taskledger's".into(),
            impersonal: None,
        };
        record::recorded(event, self.connection.prefix()).unwrap_or(Err(foreign))
    }

    /// Appends the encoded events, if `stream` is at `expected_version`.
    async fn append_proposed(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<ProposedMessage>,
    ) -> Result<Appended, StoreError> {
        let count = events.len() as u64;
        let bytes = events.iter().map(record::size).sum();
        let most = self.connection.settings.max_append_bytes;
        if bytes > most {
            return Err(StoreError::TooLarge { bytes, most });
        }
        let name = self.connection.name(stream);
        let expected = Expected::Version(expected_version);
        match self.writer.append(&name, expected, events).await {
            Ok(written) => {
                let version = written.revision.saturating_add(1);
                if version != expected_version.saturating_add(count) {
                    return Err(StoreError::Corrupt(format!(
                        "KurrentDB has appended to stream {stream} at version {version}, not after {expected_version}: \
                         the stream was deleted or truncated there"
                    )));
                }
                let position = match written.position {
                    Some(position) => position,
                    None => self.position_of(stream, version).await?,
                };
                Ok(Appended { version, position })
            }
            Err(NotWritten::Conflict(actual)) => {
                self.conflicts.saw(name, actual);
                Err(StoreError::Conflict { stream: stream.clone(), expected: expected_version, actual })
            }
            Err(NotWritten::TooLarge(said)) => {
                Err(StoreError::TooLarge { bytes, most: said.unwrap_or(most) })
            }
            Err(NotWritten::Failed(failure)) => Err(unavailable(failure)),
        }
    }

    async fn position_of(&self, stream: &StreamName, version: u64) -> Result<u64, StoreError> {
        let event = self.read_stream(stream, version - 1, 1).await?.pop();
        event
            .map(|event| event.position)
            .ok_or_else(|| StoreError::Corrupt(format!("stream {stream} has no version {version}")))
    }
}

#[async_trait]
impl EventStore for KurrentDbStore {
    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        if events.is_empty() {
            return Err(StoreError::Empty);
        }
        let is_system = |name: &str| name.starts_with('$');
        if is_system(stream.as_str()) || events.iter().any(|event| is_system(&event.kind)) {
            return Err(StoreError::unavailable(
                "names of streams and events that begin with `$` are KurrentDB's own",
            ));
        }
        check_size(events.iter().map(|event| event.data.len()).sum())?;
        let events = events
            .into_iter()
            .map(|event| record::proposed(event, self.connection.prefix()))
            .collect::<Result<Vec<_>, _>>()?;
        self.append_proposed(stream, expected_version, events).await
    }

    async fn import(&self, after: LogPoint, events: &[StoredEvent]) -> Result<LogPoint, ImportError> {
        self.import_events(after, events).await
    }

    async fn drop_payloads(&self, _: &[EventDigest]) -> Result<u64, DropError> {
        Err(DropError::Unsupported)
    }

    fn check_import(&self, event: &StoredEvent) -> Result<(), ImportError> {
        self.check_imported(event).map(drop)
    }

    async fn note_import(&self, unfinished: Option<&UnfinishedImport>) -> Result<(), StoreError> {
        self.append_import_note(unfinished).await
    }

    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        self.last_import_note().await
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        let name = self.connection.name(stream);
        let last = self.last_event(Some(stream), &name).await?;
        Ok(last.map(|event| StreamHead {
            version: event.stream_revision + 1,
            position: event.commit_position,
            id: record::event_id(&event),
        }))
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        if limit == 0 || after_version > LAST {
            return Ok(Page::default());
        }
        let name = self.connection.name(stream);
        let count = limit.min(CHUNK);
        let (events, more) = loop {
            let events = self
                .of_stream((after_version == 0).then_some(stream), || {
                    Read::stream(&name, after_version, count)
                })
                .await?;
            let bytes: usize = events.iter().map(record::size_in_page).sum();
            let more = events.len() >= count || bytes >= PAGE_BYTES;
            let version = events.last().map_or(after_version, |last| last.stream_revision + 1);
            if more || !self.conflicts.is_behind(&name, version) {
                break (events, more);
            }
            sleep(UNTIL_INDEXED).await;
        };
        let mut page = Page { more, ..Page::default() };
        for (version, event) in (after_version + 1..).zip(events) {
            if event.stream_revision + 1 != version {
                return Err(StoreError::Corrupt(format!(
                    "stream {stream} has no version {version}: it was truncated in KurrentDB"
                )));
            }
            page.entries.push(self.recorded_in(stream, event));
        }
        Ok(page)
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let (entries, more) = self.log_records(after, limit, record::recorded).await?;
        Ok(Page { entries, more })
    }

    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError> {
        let after = u64::try_from(after).unwrap_or(0);
        let (events, more) = self.log_records(after, limit, record::stored).await?;
        Ok(StoredPage { events, more })
    }

    async fn record_at(&self, position: u64) -> Result<Option<Entry>, StoreError> {
        self.one_record(position, record::recorded).await
    }

    async fn stored_at(&self, position: u64) -> Result<Option<StoredEvent>, StoreError> {
        self.one_record(position, record::stored).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.end.wait().await.map_err(unavailable)
    }

    async fn can_append(&self) -> Result<(), StoreError> {
        self.writer.probe().await.map_err(unavailable)
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        self.ids_at(positions).await
    }

    fn positions_are_dense(&self) -> bool {
        false
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        subscription::subscribe(Arc::clone(&self.connection), &self.end, after.min(LAST))
    }
}
