//! Where the log ends: the position of the last event that is ours, on a server that others may write to. A read that
//! looks for it examines others' events too, so nothing is examined twice: what was found is kept, with how far the server
//! was looked at, and the next look begins there.
//!
//! A process that starts knows nothing, and looks back from the end. So that this ends soon, whoever finds that others
//! have written much since our last event leaves a mark: an event of ours that says where that last event is.

use std::{
    sync::{
        Arc, Mutex as SyncMutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kurrentdb_protocol::event_store::client::streams::read_resp::read_event::RecordedEvent as WireEvent;
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, task::JoinHandle, time::timeout};
use uuid::Uuid;

use super::{
    calls::Read,
    connection::Connection,
    failure::Failure,
    record,
    writer::{Expected, Writer},
};

/// Whoever asks waits no longer than this, and gets what was known before.
const PATIENCE: Duration = Duration::from_millis(800);
/// A look may take this long all the same.
const LOOK_DEADLINE: Duration = Duration::from_secs(60);
/// A first look on a server that holds much of others' may take long.
const SEARCH_DEADLINE: Duration = Duration::from_secs(3_600);
/// So many looks may wait for each other.
const MOST_LOOKS: usize = 16;
/// When others have written so much since our last event or mark, a mark is left.
const MARK_EVERY: u64 = 16 << 20;
/// The stream of the marks, after the prefix.
const MARKS: &str = "taskledger.log-end";

/// A record of the server, ours or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Place {
    position: u64,
    id: Uuid,
}

impl Place {
    fn of(event: &WireEvent) -> Self {
        Self {
            position: event.commit_position,
            id: record::event_id(event).0,
        }
    }
}

/// A mark's payload.
#[derive(Serialize, Deserialize)]
struct Mark {
    /// Up to here the server was looked at.
    examined: u64,
    /// Our last event up to there.
    last: Option<Place>,
}

/// The end of the log, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The position of our last event, 0 if there is none.
    pub(super) position: u64,
    /// Whether the server was looked at down to the last event. If not, there may be a later one.
    pub(super) is_certain: bool,
}

/// What is known of the server.
struct Known {
    /// Up to here it was looked at.
    examined: Place,
    /// Where the server ended when nothing was known.
    begun_at: Place,
    last: Option<Place>,
    /// What the newest mark says, until the first look has ended.
    hint: Option<Place>,
    /// The largest of the gaps before it.
    gap: Gap,
    marked: u64,
    /// The first look, which goes on while new events are looked for.
    search: Option<JoinHandle<Result<Option<Place>, Failure>>>,
}

/// Nothing of ours is after `from` and up to `to`.
#[derive(Clone, Copy, Default)]
struct Gap {
    from: u64,
    to: u64,
}

impl Gap {
    fn after(last: Option<Place>, to: Place) -> Self {
        Self {
            from: last.map_or(0, |last| last.position),
            to: to.position,
        }
    }

    fn or_larger(self, other: Self) -> Self {
        if other.to - other.from > self.to - self.from {
            other
        } else {
            self
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Seen {
    end: End,
    gaps: [Gap; 2],
}

/// The end of the log.
pub(super) struct LogEnd {
    connection: Arc<Connection>,
    writer: Arc<Writer>,
    known: Mutex<Option<Known>>,
    /// What the last look has found, to read without waiting.
    seen: SyncMutex<Seen>,
    looks: AtomicUsize,
    /// Whether a look goes on and the server has answered it.
    is_examining: AtomicBool,
}

impl LogEnd {
    pub(super) fn new(connection: Arc<Connection>, writer: Arc<Writer>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            writer,
            known: Mutex::default(),
            seen: SyncMutex::default(),
            looks: AtomicUsize::default(),
            is_examining: AtomicBool::default(),
        })
    }

    /// Looks where the log ends. It takes a few small reads and a read of what has come since the last look, whoever wrote
    /// it. If that takes long the answer is what was known before.
    pub(super) async fn find(self: &Arc<Self>) -> Result<End, Failure> {
        if self.looks.fetch_add(1, Ordering::Relaxed) >= MOST_LOOKS {
            self.looks.fetch_sub(1, Ordering::Relaxed);
            return self.known_before();
        }
        // In a task, so that what it finds is kept even if nobody waits for it any more.
        let mut look = runtime::spawn("look for the end of the log", {
            let end = Arc::clone(self);
            async move {
                let found = timeout(LOOK_DEADLINE, end.look())
                    .await
                    .unwrap_or(Err(Failure::Late));
                end.is_examining.store(false, Ordering::Relaxed);
                end.looks.fetch_sub(1, Ordering::Relaxed);
                found
            }
        });
        let found = match timeout(PATIENCE, &mut look).await {
            Ok(found) => Ok(found),
            Err(_) => match self.known_before() {
                Ok(end) => return Ok(end),
                Err(_) => timeout(self.connection.settings.deadline, look).await,
            },
        };
        match found {
            Ok(Ok(found)) => found,
            Ok(Err(panicked)) => Err(Failure::Other(panicked.to_string())),
            Err(_) => Err(Failure::Late),
        }
    }

    /// What was known before the look that goes on. A server that does not answer says nothing.
    fn known_before(&self) -> Result<End, Failure> {
        if !self.is_examining.load(Ordering::Relaxed) {
            return Err(Failure::Late);
        }
        Ok(End {
            is_certain: false,
            ..self.seen().end
        })
    }

    /// From where a read of what comes after `position` may begin: what is in between is known to be others'.
    pub(super) fn skip(&self, position: u64) -> u64 {
        let gap = self
            .seen()
            .gaps
            .into_iter()
            .find(|gap| (gap.from..gap.to).contains(&position));
        gap.map_or(position, |gap| gap.to)
    }

    fn seen(&self) -> Seen {
        // It is written whole, so a poisoned lock is as good as any.
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, end: End, gaps: [Gap; 2]) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { end, gaps };
    }

    async fn look(self: &Arc<Self>) -> Result<End, Failure> {
        let mut known = self.known.lock().await;
        let Some(end) = self.server_end().await? else {
            *known = None;
            self.found(End::default(), Default::default());
            return Ok(End {
                position: 0,
                is_certain: true,
            });
        };
        let is_same_log = match &*known {
            Some(known) => self.has(known.examined).await? && self.has_last(known.last).await?,
            None => false,
        };
        self.is_examining.store(true, Ordering::Relaxed);
        if !is_same_log {
            let mut new = Known::new(end, self);
            new.hint = self.newest_mark().await?;
            let position = new.hint.map_or(0, |hint| hint.position);
            let is_certain = false;
            self.found(End { position, is_certain }, Default::default());
            *known = Some(new);
        }
        let known = known.get_or_insert_with(|| Known::new(end, self));
        self.join_search(known, !is_same_log).await?;
        if end.position > known.examined.position {
            self.advance(known, end).await?;
        }
        let found = End {
            position: known.last.or(known.hint).map_or(0, |last| last.position),
            is_certain: known.search.is_none(),
        };
        let gap = if found.is_certain {
            Gap::after(known.last, known.examined)
        } else {
            Gap::default()
        };
        self.found(found, [gap, known.gap]);
        if found.is_certain && known.examined.position > known.marked.max(found.position) + MARK_EVERY {
            known.marked = known.examined.position;
            let mark = mark(Arc::clone(&self.writer), self.marks(), known.examined, known.last);
            runtime::spawn("mark of the end of the log", mark);
        }
        Ok(found)
    }

    /// Takes what the first look has found, if it has ended or ends soon.
    async fn join_search(&self, known: &mut Known, is_new: bool) -> Result<(), Failure> {
        let begun_at = known.begun_at;
        let Some(search) = &mut known.search else {
            return Ok(());
        };
        if !is_new && !search.is_finished() {
            return Ok(());
        }
        let Ok(joined) = timeout(PATIENCE / 2, search).await else {
            return Ok(());
        };
        (known.search, known.hint) = (None, None);
        let found = joined.unwrap_or_else(|panicked| Err(Failure::Other(panicked.to_string())));
        match found {
            Ok(found) => {
                known.gap = known.gap.or_larger(Gap::after(found, begun_at));
                known.last = known.last.or(found);
                Ok(())
            }
            Err(failure) => {
                // The next look begins again.
                known.examined = Place::default();
                Err(failure)
            }
        }
    }

    /// Looks at what has come up to `end`.
    async fn advance(&self, known: &mut Known, end: Place) -> Result<(), Failure> {
        let from = known.examined.position;
        let mut new = self.reading(Read::log(from, usize::MAX)).await?;
        let mut is_ours = false;
        while let Some(event) = new.next_event().await? {
            if event.commit_position > from && self.is_ours(&event) {
                is_ours = true;
                break;
            }
        }
        drop(new);
        if is_ours {
            // The last one is found from behind, however many there are.
            let mut back = self.reading(Read::log_backwards(None, usize::MAX)).await?;
            while let Some(event) = back.next_event().await? {
                if self.is_ours(&event) {
                    let place = Place::of(&event);
                    if known.search.is_none() {
                        known.gap = known.gap.or_larger(Gap::after(known.last, known.examined));
                    }
                    known.last = Some(place);
                    known.examined = if place.position > end.position { place } else { end };
                    return Ok(());
                }
            }
        }
        known.examined = end;
        Ok(())
    }

    /// Our last event before `end`, found from behind.
    async fn search(self: Arc<Self>, end: Place) -> Result<Option<Place>, Failure> {
        let searching = async {
            // The record at the end itself is not before it.
            if let Some(event) = self.at(end.position).await?
                && self.is_ours(&event)
            {
                return Ok(Some(end));
            }
            let mut back = self
                .reading(Read::log_backwards(Some(end.position), usize::MAX))
                .await?;
            while let Some(event) = back.next_event().await? {
                if self.is_ours(&event) {
                    return Ok(Some(Place::of(&event)));
                }
                if let Some(mark) = self.mark(&event)
                    && let Some(found) = self.since(&mark, event.commit_position).await?
                {
                    return Ok(found);
                }
            }
            Ok(None)
        };
        timeout(SEARCH_DEADLINE, searching)
            .await
            .unwrap_or(Err(Failure::Late))
    }

    /// Our last event before the mark at `position`; nothing if the mark says what is not so.
    async fn since(&self, mark: &Mark, position: u64) -> Result<Option<Option<Place>>, Failure> {
        let mut last = mark.last;
        let mut reading = self.reading(Read::log(mark.examined, usize::MAX)).await?;
        while let Some(event) = reading.next_event().await? {
            if event.commit_position >= position {
                break;
            }
            if self.is_ours(&event) {
                last = Some(Place::of(&event));
            }
        }
        Ok(self.has_last(last).await?.then_some(last))
    }

    /// A filtered read of the log.
    async fn reading(&self, read: Read) -> Result<super::calls::Reading, Failure> {
        let node = self.connection.node().await?;
        let started = read
            .of(self.connection.prefix())
            .start(&node, &self.connection)
            .await;
        if let Err(failure) = &started {
            self.connection.failed(&node, failure).await;
        }
        started
    }

    /// The last record of the server.
    async fn server_end(&self) -> Result<Option<Place>, Failure> {
        let deadline = self.connection.settings.deadline;
        let event = self.connection.run(deadline, move |node| async move {
            Read::log_backwards(None, 1)
                .start(&node, &self.connection)
                .await?
                .next_event()
                .await
        });
        Ok(event.await?.map(|event| Place::of(&event)))
    }

    /// The record that begins at `position`.
    pub(super) async fn at(&self, position: u64) -> Result<Option<WireEvent>, Failure> {
        let deadline = self.connection.settings.deadline;
        let found = self.connection.run(deadline, move |node| async move {
            Read::log(position, 1)
                .start(&node, &self.connection)
                .await?
                .next_event()
                .await
        });
        match found.await {
            Ok(event) => Ok(event.filter(|event| event.commit_position == position)),
            Err(Failure::NoSuchPosition) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Our last event as the newest mark says.
    async fn newest_mark(&self) -> Result<Option<Place>, Failure> {
        let deadline = self.connection.settings.deadline;
        let event = self.connection.run(deadline, move |node| async move {
            let read = Read::stream_end(&self.marks());
            read.start(&node, &self.connection).await?.next_event().await
        });
        let mark = event.await?.and_then(|event| self.mark(&event));
        let last = mark.and_then(|mark| mark.last);
        Ok(if self.has_last(last).await? { last } else { None })
    }

    async fn has(&self, place: Place) -> Result<bool, Failure> {
        Ok(self
            .at(place.position)
            .await?
            .is_some_and(|event| Place::of(&event) == place))
    }

    async fn has_last(&self, last: Option<Place>) -> Result<bool, Failure> {
        match last {
            Some(last) => self.has(last).await,
            None => Ok(true),
        }
    }

    fn is_ours(&self, event: &WireEvent) -> bool {
        record::is_ours(event, self.connection.prefix())
    }

    fn marks(&self) -> String {
        format!("{}{MARKS}", self.connection.prefix())
    }

    fn mark(&self, event: &WireEvent) -> Option<Mark> {
        if record::stream(event)? != self.marks() {
            return None;
        }
        serde_json::from_slice(&event.data).ok()
    }
}

impl Known {
    /// Nothing but where the server ends now.
    fn new(end: Place, log: &Arc<LogEnd>) -> Self {
        Self {
            examined: end,
            begun_at: end,
            last: None,
            hint: None,
            gap: Gap::default(),
            marked: 0,
            search: Some(runtime::spawn(
                "first search for the end of the log",
                Arc::clone(log).search(end),
            )),
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(search) = &self.search {
            search.abort();
        }
    }
}

/// Leaves a mark. It is of use only, so that a failure means nothing.
async fn mark(writer: Arc<Writer>, stream: String, examined: Place, last: Option<Place>) {
    let mark = Mark {
        examined: examined.position,
        last,
    };
    let Ok(data) = serde_json::to_vec(&mark) else {
        return;
    };
    let event = record::binary(
        runtime::new_id(),
        "taskledger.log-end".to_owned(),
        data.into(),
        Default::default(),
    );
    let bytes = record::size(&event);
    if writer
        .append(&stream, Expected::Any, vec![event], bytes)
        .await
        .is_err()
    {
        tracing::debug!("no mark of the log's end was left");
    }
}
