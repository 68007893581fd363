//! Finds the end of the log: the position of its last event, on a server that others may write to. Such a search
//! reads the events of others, too. So the result is kept with the position up to which the server was searched, and
//! the next search begins there.
//!
//! A process that starts searches backwards from the end of the server. To keep this short, a process that finds many
//! events of others after our last event writes a mark: an event that says where our last event is.

mod record_position;
mod search;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex as SyncMutex;
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::{
    record_position::{Gap, RecordPosition},
    search::{OurEvents, leave_mark},
};
use super::{connection::Connection, failure::Failure, read_call::Read, writer::Writer};

/// How long [`LogEnd::find`] waits for a search.
const TIMEOUT: Duration = Duration::from_millis(800);
/// The pause before somebody who waits for the end looks again.
const PAUSE: Duration = Duration::from_millis(50);
/// The time limit of a search.
const LOOK_DEADLINE: Duration = Duration::from_secs(60);
/// The most searches that wait for each other.
const MAX_LOOKS: usize = 16;
/// A mark is written when others have written this many bytes since our last event or mark.
const MARK_INTERVAL: u64 = 16 << 20;

/// What is known about the server.
struct Known {
    /// The server was searched up to this place.
    examined: RecordPosition,
    /// The end of the server when nothing was known.
    begun_at: RecordPosition,
    last: Option<RecordPosition>,
    /// The largest gap before it.
    gap: Gap,
    marked: u64,
    /// The first search, which goes on beside the search for new events.
    search: Option<JoinHandle<Result<Option<RecordPosition>, Failure>>>,
}

/// The end of the log.
pub(super) struct LogEnd {
    connection: Arc<Connection>,
    events: OurEvents,
    writer: Arc<Writer>,
    known: Mutex<Option<Known>>,
    /// The gaps that the last search found, which can be read without waiting.
    gaps: SyncMutex<[Gap; 2]>,
    looks: AtomicUsize,
    /// Whether a search is running and the server has answered it.
    is_examining: AtomicBool,
}

impl LogEnd {
    pub(super) fn new(connection: Arc<Connection>, writer: Arc<Writer>) -> Arc<Self> {
        Arc::new(Self {
            events: OurEvents::new(Arc::clone(&connection)),
            connection,
            writer,
            known: Mutex::default(),
            gaps: SyncMutex::default(),
            looks: AtomicUsize::default(),
            is_examining: AtomicBool::default(),
        })
    }

    /// The end of the log: the position of our last event, 0 if there is none. Waits for the search until the deadline
    /// of the connection, because an earlier position would hide events that were acknowledged.
    pub(super) async fn wait(self: &Arc<Self>) -> Result<u64, Failure> {
        let found = async {
            loop {
                match self.find().await {
                    Ok(Some(end)) => return Ok(end),
                    Ok(None) | Err(Failure::Late) => sleep(PAUSE).await,
                    Err(failure) => return Err(failure),
                }
            }
        };
        timeout(self.connection.settings.deadline, found).await.unwrap_or(Err(Failure::Late))
    }

    /// The same, but `None` if the search takes long. It takes a few small reads, and a read of everything that was
    /// written since the last search.
    pub(super) async fn find(self: &Arc<Self>) -> Result<Option<u64>, Failure> {
        if self.looks.fetch_add(1, Ordering::Relaxed) >= MAX_LOOKS {
            self.looks.fetch_sub(1, Ordering::Relaxed);
            return self.still_searching();
        }
        // In a separate task, so that the result is kept even if nobody waits for it any more.
        let mut look = runtime::spawn("look for the end of the log", {
            let end = Arc::clone(self);
            async move {
                let found = timeout(LOOK_DEADLINE, end.look()).await.unwrap_or(Err(Failure::Late));
                end.is_examining.store(false, Ordering::Relaxed);
                end.looks.fetch_sub(1, Ordering::Relaxed);
                found
            }
        });
        let found = match timeout(TIMEOUT, &mut look).await {
            Ok(found) => Ok(found),
            Err(_) => match self.still_searching() {
                Ok(unknown) => return Ok(unknown),
                Err(_) => timeout(self.connection.settings.deadline, look).await,
            },
        };
        match found {
            Ok(Ok(found)) => found,
            Ok(Err(panicked)) => Err(Failure::Other(panicked.to_string())),
            Err(_) => Err(Failure::Late),
        }
    }

    /// The answer of [`Self::find`] during a search. An error if the server does not answer.
    fn still_searching(&self) -> Result<Option<u64>, Failure> {
        if self.is_examining.load(Ordering::Relaxed) { Ok(None) } else { Err(Failure::Late) }
    }

    /// The position from which a read of the events after `position` may begin: all between them are events of
    /// others.
    pub(super) fn skip(&self, position: u64) -> u64 {
        let gaps = *self.gaps.lock();
        let gap = gaps.into_iter().find(|gap| (gap.from..gap.to).contains(&position));
        gap.map_or(position, |gap| gap.to)
    }

    fn keep(&self, gaps: [Gap; 2]) {
        *self.gaps.lock() = gaps;
    }

    async fn look(self: &Arc<Self>) -> Result<Option<u64>, Failure> {
        let mut known = self.known.lock().await;
        let Some(end) = self.events.server_end().await? else {
            *known = None;
            self.keep(Default::default());
            return Ok(Some(0));
        };
        let is_same_log = match &*known {
            Some(known) => self.events.has(known.examined).await? && self.events.has_last(known.last).await?,
            None => false,
        };
        self.is_examining.store(true, Ordering::Relaxed);
        if !is_same_log {
            self.keep(Default::default());
            *known = Some(Known::new(end, self));
        }
        let known = known.get_or_insert_with(|| Known::new(end, self));
        self.join_search(known, !is_same_log).await?;
        if end.position > known.examined.position {
            self.advance(known, end).await?;
        }
        if known.last.is_none() && known.search.is_some() {
            self.keep([Gap::default(), known.gap]);
            return Ok(None);
        }
        let found = known.last.map_or(0, |last| last.position);
        self.keep([Gap::after(known.last, known.examined), known.gap]);
        if known.examined.position > known.marked.max(found) + MARK_INTERVAL {
            known.marked = known.examined.position;
            let mark = leave_mark(Arc::clone(&self.writer), self.events.marks(), known.examined, known.last);
            runtime::spawn("mark of the end of the log", mark);
        }
        Ok(Some(found))
    }

    /// Takes the result of the first search, if it has ended or ends soon.
    async fn join_search(&self, known: &mut Known, is_new: bool) -> Result<(), Failure> {
        let begun_at = known.begun_at;
        let Some(search) = &mut known.search else {
            return Ok(());
        };
        if !is_new && !search.is_finished() {
            return Ok(());
        }
        let Ok(joined) = timeout(TIMEOUT / 2, search).await else {
            return Ok(());
        };
        known.search = None;
        let found = joined.unwrap_or_else(|panicked| Err(Failure::Other(panicked.to_string())));
        match found {
            Ok(found) => {
                known.gap = known.gap.or_larger(Gap::after(found, begun_at));
                known.last = known.last.or(found);
                Ok(())
            }
            Err(failure) => {
                // The next search begins from the start.
                known.examined = RecordPosition::default();
                Err(failure)
            }
        }
    }

    /// Searches the events up to `end`.
    async fn advance(&self, known: &mut Known, end: RecordPosition) -> Result<(), Failure> {
        let from = known.examined.position;
        let mut new = self.events.reading(Read::log(from, usize::MAX)).await?;
        let mut is_ours = false;
        while let Some(event) = new.next_event().await? {
            if event.commit_position > from && self.events.is_ours(&event) {
                is_ours = true;
                break;
            }
        }
        drop(new);
        if is_ours {
            // The last one is found backwards, however many events there are.
            let mut back = self.events.reading(Read::log_backwards(None, usize::MAX)).await?;
            while let Some(event) = back.next_event().await? {
                if self.events.is_ours(&event) {
                    let place = RecordPosition::of(&event);
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
}

impl Known {
    /// Knows only where the server ends now.
    fn new(end: RecordPosition, log: &LogEnd) -> Self {
        Self {
            examined: end,
            begun_at: end,
            last: None,
            gap: Gap::default(),
            marked: 0,
            search: Some(runtime::spawn(
                "first search for the end of the log",
                log.events.clone().search(end),
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
