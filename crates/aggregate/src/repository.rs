//! The aggregates of one kind in the event store: loads them, and appends to them.
//!
//! The cost of a load does not depend on the length of the stream. The end of the stream shows whether the state in
//! memory is current; if not, the later events are folded in. A state that is not in memory begins with a snapshot,
//! if there is a recent one, or else with the first event.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use event_store::{EventStore, StoreError, StreamHead, for_each_entry};
use events::{Aggregate, Metadata, RecordedEvent, StreamName};
use moka::ops::compute::Op;
use runtime::{Clock, KeyedSemaphore};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    Append, Appended, Loaded, RepositoryError, Snapshots, append,
    record_reader::RecordReader,
    state_cache::{StateCache, state_cache},
};

/// Streams with more events than this are long: they take more than one page of the store.
const LONG: u64 = 512;
/// A snapshot is stored after this many events of a stream.
const SNAPSHOT_INTERVAL: u64 = 256;
/// The most streams that are folded at the same time; each holds one page of events. More than the long ones and three
/// reads of the past.
const FOLDS: usize = 6;
/// The most long streams that are folded at the same time. The rest is left for short ones.
const LONG_FOLDS: usize = 2;
/// The most callers that wait for the fold of one stream.
const WAITING: usize = 1_024;
/// How long a fold waits for its turn before it fails.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Loads and appends to the aggregates of one kind.
pub struct Repository<A: Aggregate> {
    store: Arc<dyn EventStore>,
    pub(crate) clock: Arc<dyn Clock>,
    states: StateCache<A>,
    turns: KeyedSemaphore<A::Id>,
    folds: Semaphore,
    long_folds: Semaphore,
    reader: RecordReader<A>,
    snapshots: Option<Arc<dyn Snapshots<A>>>,
}

impl<A: Aggregate> Repository<A> {
    /// Creates the repository of the aggregates in `store`. Keeps about `most_bytes` of states in memory; `bytes`
    /// returns the size of one.
    pub fn new(
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
        most_bytes: u64,
        bytes: fn(&A) -> usize,
    ) -> Self {
        Self {
            store,
            clock,
            states: state_cache(most_bytes, bytes),
            turns: KeyedSemaphore::new(1, WAITING),
            folds: Semaphore::new(FOLDS),
            long_folds: Semaphore::new(LONG_FOLDS),
            reader: RecordReader::default(),
            snapshots: None,
        }
    }

    /// Uses `snapshots` for long streams.
    #[must_use]
    pub fn with_snapshots(self, snapshots: Arc<dyn Snapshots<A>>) -> Self {
        Self { snapshots: Some(snapshots), ..self }
    }

    /// Also loads streams of people whose key is damaged or lost, with placeholders for personal values. For callers
    /// that do not need these values.
    #[must_use]
    pub fn impersonal(mut self) -> Self {
        self.reader.is_impersonal = true;
        self
    }

    /// Also loads streams with records that cannot be read: `state` is what is left after such a record. For a stream
    /// that everybody depends on.
    #[must_use]
    pub fn tolerant(mut self, state: fn(Option<A>) -> A) -> Self {
        self.reader.after_unreadable = Some(state);
        self
    }

    /// The aggregate with everything that was in the log when this was called.
    ///
    /// # Errors
    /// When its stream cannot be read.
    pub async fn load(&self, id: &A::Id) -> Result<Loaded<A>, RepositoryError> {
        let stream = A::stream(id);
        // Read before the end of the stream is, so that it cannot be ahead of that.
        let known = self.remembered(id);
        let Some(head) = self.store.stream_head(&stream).await? else {
            self.forget(id);
            return Ok(Loaded::default());
        };
        if let Some(now) = self.up_to_date(known, head, id, &stream).await? {
            return Ok(now);
        }
        // One caller reads the stream, the others find the state in memory.
        let turn = self.turns.take(id.clone(), TIMEOUT).await;
        let _turn = turn.map_err(|_| RepositoryError::Overloaded)?;
        let known = self.remembered(id);
        match self.up_to_date(known, head, id, &stream).await? {
            Some(now) => Ok(now),
            None => self.load_from_log(id, &stream, head).await,
        }
    }

    /// The state in memory. It may be out of date, or from another history of the log.
    pub fn remembered(&self, id: &A::Id) -> Option<Loaded<A>> {
        self.states.get(id)
    }

    /// Keeps a state in memory, unless a later one is there already.
    pub fn remember(&self, id: &A::Id, loaded: &Loaded<A>) {
        if loaded.end.is_some() {
            self.states.entry(id.clone()).and_compute_with(|known| {
                let later = known.is_some_and(|known| known.value().version() >= loaded.version());
                if later { Op::Nop } else { Op::Put(loaded.clone()) }
            });
        }
    }

    /// Forgets the state in memory.
    pub fn forget(&self, id: &A::Id) {
        self.states.invalidate(id);
    }

    /// Forgets all states in memory.
    pub fn forget_all(&self) {
        self.states.invalidate_all();
    }

    /// The current state after an append on `known` met a conflict at version `actual`. Reads only the later events.
    /// `None` if there are many, or if `known` is not from this log.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn after_conflict(
        &self,
        id: &A::Id,
        known: Loaded<A>,
        actual: u64,
    ) -> Result<Option<Loaded<A>>, RepositoryError> {
        // Other callers may have loaded a later state while this one waited for its turn.
        let known = match self.remembered(id) {
            Some(remembered) if remembered.version() > known.version() => remembered,
            _ => known,
        };
        self.read_on(known, actual, id, &A::stream(id)).await
    }

    /// Folds the events after `from`. `each` gets every event with the state after it, and decides when to stop.
    ///
    /// # Errors
    /// When the stream cannot be read, or too many streams are being read.
    pub async fn fold(
        &self,
        id: &A::Id,
        from: Loaded<A>,
        mut each: impl FnMut(&RecordedEvent, &Loaded<A>) -> ControlFlow<()> + Send,
    ) -> Result<Loaded<A>, RepositoryError> {
        let _permit = permit(&self.folds).await?;
        let mut loaded = from;
        let after = loaded.version();
        for_each_entry(&*self.store, &A::stream(id), after, |entry| {
            Ok::<_, RepositoryError>(match self.reader.fold(&mut loaded, id, entry)? {
                Some(event) => each(&event, &loaded),
                None => ControlFlow::Continue(()),
            })
        })
        .await?;
        Ok(loaded)
    }

    /// Appends `events`, which were decided on `loaded`, with `metadata`. Returns the aggregate after them.
    ///
    /// # Errors
    /// Those of the store, except a conflict. After [`StoreError::Unavailable`] the events may nevertheless
    /// be in the log.
    pub async fn append(
        &self,
        id: &A::Id,
        loaded: Loaded<A>,
        events: &[A::Event],
        metadata: &Metadata,
    ) -> Result<Appended<Loaded<A>>, StoreError> {
        let before = loaded.version();
        let append_events = Append {
            stream: &A::stream(id),
            expected_version: before,
            not_before: loaded.recorded_at,
            events,
            metadata,
        };
        let written = match append(&*self.store, &*self.clock, append_events).await? {
            Appended::Conflict { actual } => return Ok(Appended::Conflict { actual }),
            Appended::Written(written) => written,
        };
        let after = loaded.after(id, events, written);
        if before / SNAPSHOT_INTERVAL != after.version() / SNAPSHOT_INTERVAL {
            self.keep(id, &after).await;
        }
        self.remember(id, &after);
        Ok(Appended::Written(after))
    }

    /// The state `known`, brought up to the end `head` of its stream; `None` if it is far behind, or not from this
    /// log.
    async fn up_to_date(
        &self,
        known: Option<Loaded<A>>,
        head: StreamHead,
        id: &A::Id,
        stream: &StreamName,
    ) -> Result<Option<Loaded<A>>, RepositoryError> {
        match known {
            Some(known) if known.is_at(head) => Ok(Some(known)),
            Some(known) => self.read_on(known, head.version, id, stream).await,
            None => Ok(None),
        }
    }

    /// The state `known` with all later events, up to at least version `version`. `None` if there are many, or if the
    /// log was restored or replaced since, so that it does not have the last event of `known`.
    async fn read_on(
        &self,
        mut known: Loaded<A>,
        version: u64,
        id: &A::Id,
        stream: &StreamName,
    ) -> Result<Option<Loaded<A>>, RepositoryError> {
        let mut is_of_this_log = false;
        if let Some(end) = known.end
            && version.saturating_sub(end.version) <= LONG
        {
            for_each_entry(&*self.store, stream, end.version.saturating_sub(1), |entry| {
                if is_of_this_log {
                    self.reader.fold(&mut known, id, entry)?;
                } else if self.reader.read(entry).is_ok_and(|event| event.id == end.id) {
                    is_of_this_log = true;
                } else {
                    return Ok(ControlFlow::Break(()));
                }
                Ok::<_, RepositoryError>(ControlFlow::Continue(()))
            })
            .await?;
        }
        if is_of_this_log && known.version() >= version {
            self.remember(id, &known);
            Ok(Some(known))
        } else {
            self.forget(id);
            Ok(None)
        }
    }

    /// The aggregate from a snapshot and the later events, or from the first event. The stream ends at `head`.
    async fn load_from_log(
        &self,
        id: &A::Id,
        stream: &StreamName,
        head: StreamHead,
    ) -> Result<Loaded<A>, RepositoryError> {
        if let Some(snapshots) = &self.snapshots
            && head.version >= SNAPSHOT_INTERVAL
            && let Some(kept) = snapshots.find(id).await
        {
            let _permit = permit(&self.folds).await?;
            if let Some(now) = self.up_to_date(Some(kept), head, id, stream).await? {
                self.remember(id, &now);
                return Ok(now);
            }
        }
        let is_long = head.version > LONG;
        let _permit = match is_long {
            true => Some(permit(&self.long_folds).await?),
            false => None,
        };
        let everything = |_: &_, _: &_| ControlFlow::Continue(());
        let mut loaded = self.fold(id, Loaded::default(), everything).await?;
        // A record that cannot be read does not tell its id.
        if let Some(end) = &mut loaded.end
            && end.id.0.is_nil()
            && end.version == head.version
        {
            end.id = head.id;
        }
        self.remember(id, &loaded);
        if is_long {
            self.keep(id, &loaded).await;
        }
        Ok(loaded)
    }

    /// Stores a snapshot for processes that do not have the state in memory.
    async fn keep(&self, id: &A::Id, loaded: &Loaded<A>) {
        if let Some(snapshots) = &self.snapshots {
            snapshots.put(id, loaded).await;
        }
    }
}

async fn permit(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, RepositoryError> {
    match timeout(TIMEOUT, semaphore.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        // The semaphore is never closed.
        Ok(Err(_)) | Err(_) => Err(RepositoryError::Overloaded),
    }
}
