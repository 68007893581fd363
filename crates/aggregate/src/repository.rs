//! The aggregates of one kind in the event store: load, decide, append. A decision is made again after a conflict; tasks have a
//! loop of their own, with turns and a search for earlier tries.
//!
//! What a load costs does not depend on the length of the stream: it reads on from the state that was folded last time, and
//! nothing if the stream still ends with the event which that state ends with. What nobody has in memory is read on from a
//! snapshot, where there are any.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use event_store::{Entry, EventStore, StoreError, Unreadable, for_each_entry};
use events::{Aggregate, Metadata, RecordedEvent, StreamName, Timestamp};
use runtime::Clock;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    Append, Appended, Conflicts, ExecuteError, GivenUp, Loaded, RepositoryError, Snapshots, StateCache,
    append, read_on,
};

/// A stream of more events than this is long.
const LONG_STREAM: u64 = 500;
/// After so many events of a stream a snapshot is kept.
const SNAPSHOT_EVERY: u64 = 256;
/// How many long streams are folded at once.
const LONG_STREAMS_AT_ONCE: usize = 2;
/// How long a load waits until it may fold a long stream.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that the remembered states may take, about.
const BYTES_OF_STATES: u64 = 4 << 20;

/// The aggregates of one kind.
pub struct Repository<A: Aggregate> {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    states: StateCache<A::Id, Loaded<A>>,
    long_streams: Semaphore,
    is_impersonal: bool,
    snapshots: Option<Arc<dyn Snapshots<A>>>,
}

/// A command that went through.
#[derive(Debug)]
pub struct Executed<A> {
    /// The state now.
    pub state: Option<A>,
    /// The log's position of the stream's last event.
    pub position: u64,
    /// Whether anything was appended.
    pub changed: bool,
}

impl<A: Aggregate> Repository<A> {
    /// Those in `store`. `bytes` tells what an aggregate takes in memory, about.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, bytes: fn(&A) -> usize) -> Self {
        let bytes = move |loaded: &Loaded<A>| loaded.state.as_ref().map_or(0, bytes);
        Self {
            store,
            clock,
            states: StateCache::new(BYTES_OF_STATES, bytes, Loaded::version),
            long_streams: Semaphore::new(LONG_STREAMS_AT_ONCE),
            is_impersonal: false,
            snapshots: None,
        }
    }

    /// With snapshots of long streams.
    #[must_use]
    pub fn with_snapshots(self, snapshots: Arc<dyn Snapshots<A>>) -> Self {
        Self {
            snapshots: Some(snapshots),
            ..self
        }
    }

    /// Those of people whose key is damaged or lost, too, with placeholders for what is personal: for whoever needs nothing
    /// of that.
    #[must_use]
    pub fn impersonal(self) -> Self {
        Self {
            is_impersonal: true,
            ..self
        }
    }

    /// The aggregate as it is now.
    ///
    /// # Errors
    /// When its stream cannot be read.
    pub async fn load(&self, id: &A::Id) -> Result<Loaded<A>, RepositoryError> {
        let stream = A::stream(id);
        if let Some(loaded) = self.load_from_known(id, &stream).await? {
            return Ok(loaded);
        }
        if let Some(loaded) = self.load_from_snapshot(id, &stream).await? {
            return Ok(loaded);
        }
        let mut loaded = Loaded::default();
        if self.fold_up_to(&mut loaded, id, &stream, LONG_STREAM).await? {
            self.remember(id, &loaded).await;
            return Ok(loaded);
        }
        let _permit = self.permit().await?;
        // Whoever waited here finds what the one before has folded.
        if let Some(loaded) = self.load_from_known(id, &stream).await? {
            return Ok(loaded);
        }
        self.fold_up_to(&mut loaded, id, &stream, u64::MAX).await?;
        self.remember(id, &loaded).await;
        self.keep(id, &loaded).await;
        Ok(loaded)
    }

    /// Loads the aggregate, decides at the present time, and appends what was decided, with `metadata`. All of it again
    /// when somebody else appended in between.
    ///
    /// # Errors
    /// [`ExecuteError::Refused`] when the decision is to refuse.
    pub async fn execute<R>(
        &self,
        id: &A::Id,
        metadata: &Metadata,
        mut decide: impl FnMut(Option<&A>, Timestamp) -> Result<Vec<A::Event>, R>,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        let mut conflicts = Conflicts::default();
        loop {
            let loaded = self.load(id).await?;
            let events = decide(loaded.state.as_ref(), self.clock.now()).map_err(ExecuteError::Refused)?;
            if events.is_empty() {
                return Ok(Executed::new(loaded, false));
            }
            if let Some(after) = self.append(id, loaded, &events, metadata).await? {
                return Ok(Executed::new(after, true));
            }
            if let Err(GivenUp { conflicts }) = conflicts.meet() {
                return Err(ExecuteError::Failed(RepositoryError::Contended {
                    stream: A::stream(id),
                    conflicts,
                }));
            }
            conflicts.pause().await;
        }
    }

    /// The aggregate after `events`; `None` when somebody else appended first.
    async fn append(
        &self,
        id: &A::Id,
        loaded: Loaded<A>,
        events: &[A::Event],
        metadata: &Metadata,
    ) -> Result<Option<Loaded<A>>, RepositoryError> {
        let append_events = Append {
            stream: &A::stream(id),
            expected_version: loaded.version(),
            not_before: loaded.recorded_at,
            events,
            metadata,
        };
        match append(&*self.store, &*self.clock, append_events).await? {
            Appended::Conflict { .. } => Ok(None),
            Appended::Written(written) => {
                let before = loaded.version();
                let after = loaded.after(id, events, written);
                self.remember(id, &after).await;
                if before / SNAPSHOT_EVERY != after.version() / SNAPSHOT_EVERY {
                    self.keep(id, &after).await;
                }
                Ok(Some(after))
            }
        }
    }

    /// The aggregate as it is now, read on from the state that is remembered, if that one is of this log.
    async fn load_from_known(
        &self,
        id: &A::Id,
        stream: &StreamName,
    ) -> Result<Option<Loaded<A>>, RepositoryError> {
        let Some(known) = self.states.get(id).await else {
            return Ok(None);
        };
        let end = known.end;
        let head = self.store.stream_head(stream).await?;
        if head.map(|head| (head.version, head.id)) == end.map(|end| (end.version, end.id)) {
            return Ok(Some(known));
        }
        let read_on = self.read_on_if_of_this_log(known, id, stream).await?;
        match &read_on {
            Some(now) => self.remember(id, now).await,
            // The log was restored or replaced since.
            None => self.states.forget(id).await,
        }
        Ok(read_on)
    }

    /// The aggregate as it is now, read on from a snapshot, if the stream is long and there is one of this log.
    async fn load_from_snapshot(
        &self,
        id: &A::Id,
        stream: &StreamName,
    ) -> Result<Option<Loaded<A>>, RepositoryError> {
        let Some(snapshots) = &self.snapshots else {
            return Ok(None);
        };
        let head = self.store.stream_head(stream).await?;
        let Some(head) = head.filter(|head| head.version >= SNAPSHOT_EVERY) else {
            return Ok(None);
        };
        let kept = snapshots.find(id).await;
        // What is far behind is a long stream again.
        let Some(kept) = kept.filter(|kept| head.version.saturating_sub(kept.version()) <= LONG_STREAM)
        else {
            return Ok(None);
        };
        let read_on = self.read_on_if_of_this_log(kept, id, stream).await?;
        if let Some(now) = &read_on {
            self.remember(id, now).await;
        }
        Ok(read_on)
    }

    /// `known` with everything that came after it; nothing if it is not of this log.
    async fn read_on_if_of_this_log(
        &self,
        mut known: Loaded<A>,
        id: &A::Id,
        stream: &StreamName,
    ) -> Result<Option<Loaded<A>>, RepositoryError> {
        let Some(end) = known.end else {
            return Ok(None);
        };
        let is_of_this_log = read_on(
            &*self.store,
            stream,
            end,
            |entry| self.read(entry),
            |event| Ok::<_, RepositoryError>(known.fold(id, event)?),
        )
        .await?;
        Ok(is_of_this_log.then_some(known))
    }

    /// Folds up to `most` more events in. Returns whether those were all.
    async fn fold_up_to(
        &self,
        loaded: &mut Loaded<A>,
        id: &A::Id,
        stream: &StreamName,
        most: u64,
    ) -> Result<bool, RepositoryError> {
        let mut left = most;
        for_each_entry(&*self.store, stream, loaded.version(), |entry| {
            if left == 0 {
                return Ok(ControlFlow::Break(()));
            }
            left -= 1;
            loaded.fold(id, &self.read(entry)?)?;
            Ok::<_, RepositoryError>(ControlFlow::Continue(()))
        })
        .await?;
        Ok(left > 0)
    }

    fn read(&self, entry: Entry) -> Result<RecordedEvent, StoreError> {
        match entry {
            Err(Unreadable {
                impersonal: Some(event),
                ..
            }) if self.is_impersonal => Ok(*event),
            other => other.map_err(StoreError::from),
        }
    }

    /// Keeps a state for the next time.
    async fn remember(&self, id: &A::Id, loaded: &Loaded<A>) {
        if loaded.end.is_some() {
            self.states.put(id.clone(), loaded.clone()).await;
        }
    }

    /// Keeps a state for those who do not have it in memory.
    async fn keep(&self, id: &A::Id, loaded: &Loaded<A>) {
        if let Some(snapshots) = &self.snapshots
            && loaded.version() >= SNAPSHOT_EVERY
        {
            snapshots.put(id, loaded).await;
        }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, RepositoryError> {
        match timeout(TIMEOUT, self.long_streams.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(RepositoryError::Overloaded),
        }
    }
}

impl<A> Executed<A> {
    fn new(loaded: Loaded<A>, changed: bool) -> Self {
        Self {
            position: loaded.position(),
            state: loaded.state,
            changed,
        }
    }
}
