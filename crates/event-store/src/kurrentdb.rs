//! The log in KurrentDB, through the vendor's client. Versions are its revisions plus one, positions its commit
//! positions: they increase, with gaps. Streams and events that are not Taskledger's are passed over.

mod connection;
mod record;
mod subscription;
mod writer;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use events::{EventId, NewEvent, StreamName};
use eventstore::{
    CurrentRevision, Error, Position, ReadAllOptions, ReadStream, ReadStreamOptions, ResolvedEvent,
    StreamPosition,
};
use futures::stream::BoxStream;
use tokio::time::timeout;

use self::{connection::Connection, writer::Writer};
use crate::{
    Appended, Entry, EventStore, OpenError, PAGE_BYTES, Page, StoreError, StreamHead, Unreadable, page,
    store::check_size,
};

/// The longest wait for the next event of a read; the client itself sets no limit.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Events asked for at once: a page is cut to its bytes between two of them.
const CHUNK: usize = 500;
/// Positions and revisions are signed on the server.
const LAST: u64 = i64::MAX as u64;

/// The event store in KurrentDB.
pub struct KurrentDbStore {
    connection: Arc<Connection>,
    writer: Writer,
}

impl fmt::Debug for KurrentDbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KurrentDbStore").field(&self.connection).finish()
    }
}

impl KurrentDbStore {
    /// The store at `url`, a connection string of KurrentDB (`kurrentdb://…`, `esdb+discover://…`). One more
    /// parameter is understood, `streamPrefix`: the names of all streams begin with it, so that several logs
    /// fit on one server.
    ///
    /// # Errors
    /// When the connection string is wrong, or the server does not answer.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let connection = Connection::new(url)?;
        connection
            .run(|client| async move { client.server_info().await })
            .await
            .map_err(|error| connection.open_error(format!("there is no answer: {error}")))?;
        let connection = Arc::new(connection);
        Ok(Self {
            writer: Writer::new(Arc::clone(&connection)),
            connection,
        })
    }

    /// One read of a stream.
    async fn stream_chunk(&self, name: &str, from: u64, count: usize) -> Result<Vec<ResolvedEvent>, Error> {
        let options = ReadStreamOptions::default().position(StreamPosition::Position(from));
        self.read_of_stream(name, options.max_count(count)).await
    }

    async fn read_of_stream(
        &self,
        name: &str,
        options: ReadStreamOptions,
    ) -> Result<Vec<ResolvedEvent>, Error> {
        let options = options.requires_leader(true);
        let read = |client: eventstore::Client| {
            let (name, options) = (name.to_owned(), options.clone());
            async move { collect(client.read_stream(name, &options).await?).await }
        };
        match self.connection.run(read).await {
            Err(Error::ResourceNotFound) => Ok(Vec::new()),
            result => result,
        }
    }

    /// One read of the whole log, from the event at `after` inclusive.
    async fn chunk(&self, after: u64, count: usize) -> Result<Vec<ResolvedEvent>, Error> {
        let options = ReadAllOptions::default()
            .position(position(after))
            .filter(self.connection.filter())
            .max_count(count)
            .requires_leader(true);
        let read = |client: eventstore::Client| {
            let options = options.clone();
            async move { collect(client.read_all(&options).await?).await }
        };
        self.connection.run(read).await
    }

    /// The last event of the log that is Taskledger's, among the last `count` that may be.
    async fn last_position(&self, count: usize) -> Result<Last, StoreError> {
        let options = ReadAllOptions::default()
            .position(StreamPosition::End)
            .filter(self.connection.filter())
            .max_count(count)
            .requires_leader(true);
        let read = |client: eventstore::Client| {
            let options = options.clone();
            async move {
                let mut stream = client.read_all(&options).await?;
                let mut seen = 0;
                while let Some(event) = next(&mut stream).await? {
                    seen += 1;
                    if let Some(entry) = record::recorded(event, self.connection.prefix()) {
                        return Ok(Last::At(page::position(&entry)));
                    }
                }
                Ok(if seen < count { Last::None } else { Last::Further })
            }
        };
        self.connection.run(read).await.map_err(unavailable)
    }
}

/// What a look backwards found.
enum Last {
    At(u64),
    /// Nothing, down to the start.
    None,
    /// Nothing yet.
    Further,
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
        let name = self.connection.name(stream);
        let events = events
            .into_iter()
            .map(record::proposed)
            .collect::<Result<Vec<_>, _>>()?;
        match self.writer.append(name, expected_version, events).await {
            Ok(written) => {
                let version = written.revision + 1;
                let position = match written.position {
                    Some(position) => position,
                    None => self.position_of(stream, version).await?,
                };
                Ok(Appended { version, position })
            }
            Err(Error::WrongExpectedVersion { current, .. }) => Err(StoreError::Conflict {
                stream: stream.clone(),
                expected: expected_version,
                actual: match current {
                    CurrentRevision::Current(revision) => revision + 1,
                    CurrentRevision::NoStream => 0,
                },
            }),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        let options = ReadStreamOptions::default()
            .backwards()
            .position(StreamPosition::End)
            .max_count(1);
        let last = self.read_of_stream(&self.connection.name(stream), options).await;
        let last = last.map_err(unavailable)?.pop();
        Ok(last.map(|event| {
            let event = event.get_original_event();
            StreamHead {
                version: event.revision + 1,
                position: event.position.commit,
                id: EventId(event.id),
            }
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
        let chunk = self.stream_chunk(&name, after_version, count).await;
        let chunk = chunk.map_err(unavailable)?;
        let mut page = Page {
            more: chunk.len() >= count,
            ..Page::default()
        };
        let mut bytes = 0;
        for event in chunk {
            if bytes >= PAGE_BYTES {
                page.more = true;
                break;
            }
            bytes += size(&event);
            page.entries.push(self.recorded_in(stream, event));
        }
        Ok(page)
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let mut page = Page::default();
        if after > LAST {
            return Ok(page);
        }
        // Others' events count on the server, so that a page may hold fewer than were asked for.
        let (mut from, mut bytes) = (after, 0);
        while page.entries.len() < limit && bytes < PAGE_BYTES {
            let count = (limit - page.entries.len())
                .min(CHUNK)
                .saturating_add(usize::from(from > 0));
            let chunk = self.chunk(from, count).await.map_err(unavailable)?;
            let last = chunk.len() < count;
            for event in chunk {
                let at = event.get_original_event().position.commit;
                if at > from && bytes < PAGE_BYTES {
                    from = at;
                    bytes += size(&event);
                    page.entries
                        .extend(record::recorded(event, self.connection.prefix()));
                }
            }
            if last && bytes < PAGE_BYTES {
                return Ok(page);
            }
        }
        page.more = true;
        Ok(page)
    }

    async fn head(&self) -> Result<u64, StoreError> {
        for count in [1, usize::MAX] {
            match self.last_position(count).await? {
                Last::At(position) => return Ok(position),
                Last::None => return Ok(0),
                Last::Further => {}
            }
        }
        Ok(0)
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        let mut wanted: BTreeSet<u64> = positions
            .iter()
            .copied()
            .filter(|position| (1..=LAST).contains(position))
            .collect();
        let mut found = HashMap::new();
        // A read begins at a position wanted, and answers those after it that are close by.
        while let Some(first) = wanted.first().copied() {
            let page = self.chunk(first, wanted.len()).await.map_err(unavailable)?;
            for event in &page {
                let event = event.get_original_event();
                if wanted.contains(&event.position.commit) {
                    found.insert(event.position.commit, EventId(event.id));
                }
            }
            let last = page
                .last()
                .map_or(LAST, |event| event.get_original_event().position.commit);
            wanted.retain(|position| *position > last.max(first));
        }
        Ok(positions
            .iter()
            .map(|position| found.get(position).copied())
            .collect())
    }

    fn positions_are_dense(&self) -> bool {
        false
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        subscription::subscribe(Arc::clone(&self.connection), after.min(LAST))
    }
}

impl KurrentDbStore {
    /// `event` of `stream`, where nobody else appends.
    fn recorded_in(&self, stream: &StreamName, event: ResolvedEvent) -> Entry {
        let at = event.get_original_event();
        let foreign = Unreadable {
            position: at.position.commit,
            stream: stream.clone(),
            version: at.revision + 1,
            kind: at.event_type.clone(),
            subject: None,
            reason: "it is not Taskledger's".to_owned(),
        };
        record::recorded(event, self.connection.prefix()).unwrap_or(Err(foreign))
    }

    async fn position_of(&self, stream: &StreamName, version: u64) -> Result<u64, StoreError> {
        let event = self.read_stream(stream, version - 1, 1).await?.pop();
        event
            .map(|event| event.position)
            .ok_or_else(|| StoreError::Corrupt(format!("stream {stream} has no version {version}")))
    }
}

/// Where to read on from: an event's commit position is its prepare position too, since Taskledger appends
/// without explicit transactions.
fn position(after: u64) -> StreamPosition<Position> {
    match after {
        0 => StreamPosition::Start,
        after => StreamPosition::Position(Position {
            commit: after,
            prepare: after,
        }),
    }
}

/// What counts for the bytes of a page.
fn size(event: &ResolvedEvent) -> usize {
    let event = event.get_original_event();
    event.data.len() + event.custom_metadata.len()
}

async fn collect(mut stream: ReadStream) -> Result<Vec<ResolvedEvent>, Error> {
    let mut events = Vec::new();
    while let Some(event) = next(&mut stream).await? {
        events.push(event);
    }
    Ok(events)
}

async fn next(stream: &mut ReadStream) -> Result<Option<ResolvedEvent>, Error> {
    timeout(READ_TIMEOUT, stream.next())
        .await
        .unwrap_or(Err(Error::DeadlineExceeded))
}

fn unavailable(error: Error) -> StoreError {
    match error {
        Error::ResourceDeleted => StoreError::Corrupt("the stream was deleted in KurrentDB".to_owned()),
        error => StoreError::unavailable(error),
    }
}
