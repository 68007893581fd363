//! How far the read models have come, and waiting until they have come far enough.
//!
//! The projector signals each step; the table of checkpoints is read when signals may have been lost, and every now
//! and then while somebody waits. The known checkpoints may be behind the table, but never ahead of it. Checkpoints
//! of another log are not used: then no state counts as projected, and nothing is waited for.

use std::{sync::Arc, time::Duration};

use database::{Database, DatabaseError};
use event_store::{EventStore, StoreError, has_all};
use events::{ConsistencyToken, LogPoint, PartitionCount, UserId};
use runtime::{Background, Rounds};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::{
    CHECKPOINT_CHANNEL, Step, checkpoints,
    first_catch_up::FirstCatchUp,
    log_identity::{InLog, LogIdentity},
};

/// How often the table is read while somebody waits, in case a signal was lost.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How often the checkpoints are compared with the log.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);

/// The time after which a waiting caller asks whether the log has the state at all. A projection usually takes a few
/// milliseconds.
const ASK_THE_LOG_AFTER: Duration = Duration::from_millis(50);

/// The most callers that wait for a state beyond the end of the log at the same time. Only tokens from before a
/// restore and made-up ones name such a state. The others are told at once that the log does not have it, so that they
/// leave room for those who wait for what was written.
const MAX_BEYOND_THE_END: usize = 128;

/// The result of waiting for a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The state is projected.
    There,
    /// The state was not projected in time.
    Behind,
    /// The log does not have the state.
    Lost,
}

/// The result of waiting for several states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// The first result other than [`Reached::There`] that was not ignored, or [`Reached::There`].
    pub reached: Reached,
    /// The number of lost states.
    pub lost: u64,
}

/// Why the checkpoints could not be compared with the log.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// They cannot be read.
    #[error("cannot read the checkpoints: {0}")]
    ReadModels(#[from] DatabaseError),
    /// The log does not answer.
    #[error("cannot ask the log: {0}")]
    Log(#[from] StoreError),
}

/// The checkpoints of all partitions.
pub struct Projection {
    read_models: Database,
    partitions: PartitionCount,
    store: Arc<dyn EventStore>,
    log: LogIdentity,
    first_catch_up: FirstCatchUp,
    known: Vec<watch::Sender<u64>>,
    waiting: watch::Sender<usize>,
    beyond_the_end: Semaphore,
}

impl Projection {
    /// The projection of the log `store` with this number of partitions. It knows nothing until the checkpoints are
    /// read.
    pub fn new(read_models: Database, store: Arc<dyn EventStore>, partitions: PartitionCount) -> Arc<Self> {
        Arc::new(Self {
            read_models,
            partitions,
            log: LogIdentity::new(Arc::clone(&store)),
            store,
            first_catch_up: FirstCatchUp::new(usize::from(partitions.get())),
            known: partitions.iter().map(|_| watch::Sender::new(0)).collect(),
            waiting: watch::Sender::new(0),
            beyond_the_end: Semaphore::new(MAX_BEYOND_THE_END),
        })
    }

    /// Listens to signals from now on, and reads the table while somebody waits, in the `background`. Without this,
    /// waiting callers notice changes only at the end of their time.
    pub fn follow(self: &Arc<Self>, background: &Background) {
        let mut signals = self.read_models.signals(CHECKPOINT_CHANNEL);
        let here = Arc::clone(self);
        background.spawn_until_stopped("signals of checkpoints", async move {
            loop {
                match signals.next().await {
                    Some(payload) => here.hear(&payload),
                    None => here.look_or_log().await,
                }
            }
        });
        let here = Arc::clone(self);
        background.spawn_until_stopped("looks at checkpoints", async move {
            let mut waiting = here.waiting.subscribe();
            // Never ends: `here` keeps the sender.
            while waiting.wait_for(|waiting| *waiting > 0).await.is_ok() {
                tokio::time::sleep(POLL_INTERVAL).await;
                here.look_or_log().await;
            }
        });
    }

    /// Compares the checkpoints with the log once a second, in the `background`: for a role with too many requests to
    /// [compare](Self::compare) before each answer.
    pub fn keep_comparing(self: &Arc<Self>, background: &Background) {
        let here = Arc::clone(self);
        let mut rounds = Rounds::every(COMPARE_INTERVAL, background.stop());
        background.spawn_until_stopped("identity of the log", async move {
            while rounds.next().await {
                if let Err(error) = here.compare().await {
                    tracing::debug!(%error, "cannot compare the read models with the log");
                }
            }
        });
    }

    /// Reads the checkpoints.
    ///
    /// # Errors
    /// When the checkpoints cannot be read.
    pub async fn look(&self) -> Result<(), DatabaseError> {
        self.read().await.map(drop)
    }

    /// Reads the checkpoints, and compares them with the log.
    ///
    /// # Errors
    /// When the checkpoints or the log cannot be read. Then the previous result stays.
    pub async fn compare(&self) -> Result<(), CompareError> {
        let points = self.read().await?;
        if self.first_catch_up.asks_for_the_end() {
            self.first_catch_up.log_ends_at(self.store.head().await?, &points);
        }
        let agree = self.log.agrees(&points).await?;
        let mismatches = agree.iter().filter(|agrees| !**agrees).count();
        let before = self.log.note(mismatches);
        if let (0, Some(complaint)) = (before, self.complaint()) {
            tracing::error!("{complaint}");
        }
        Ok(())
    }

    /// Why no state counts as projected, in a sentence for the operator; `None` if states can.
    pub fn complaint(&self) -> Option<&'static str> {
        self.log.complaint()
    }

    /// How much of the log the read models about `subject` have, in percent, while they are filled for the first time;
    /// `None` otherwise, also when they are only late.
    pub fn catching_up(&self, subject: UserId) -> Option<u64> {
        let partition = usize::from(self.partitions.of(subject));
        self.first_catch_up.percent(partition, *self.known[partition].borrow())
    }

    /// Like [`Self::catching_up`], about the read models that have the least.
    pub fn any_catching_up(&self) -> Option<u64> {
        let known = self.known.iter().enumerate();
        known.filter_map(|(partition, known)| self.first_catch_up.percent(partition, *known.borrow())).min()
    }

    /// Whether the log has the event that stands at `point`.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn log_has(&self, point: LogPoint) -> Result<bool, StoreError> {
        has_all(&*self.store, &[point]).await
    }

    /// The state of everything about `subject` that every later read includes.
    pub fn state_of(&self, subject: UserId) -> ConsistencyToken {
        let position = match self.complaint() {
            None => *self.known[usize::from(self.partitions.of(subject))].borrow(),
            Some(_) => 0,
        };
        ConsistencyToken::new(subject, position)
    }

    /// The position up to which all partitions are projected.
    pub fn least(&self) -> u64 {
        match self.complaint() {
            None => self.known.iter().map(|known| *known.borrow()).min(),
            Some(_) => None,
        }
        .unwrap_or_default()
    }

    /// The checkpoint of everything about `subject`, with its event, as the table has it now.
    ///
    /// # Errors
    /// When the checkpoints cannot be read.
    pub async fn point_of(&self, subject: UserId) -> Result<LogPoint, DatabaseError> {
        let partition = self.partitions.of(subject);
        let points = checkpoints(&self.read_models, self.partitions).await?;
        let point = points.into_iter().find(|(found, _)| *found == partition);
        Ok(point.map_or(LogPoint::START, |(_, point)| point))
    }

    /// Follows how far each partition has been projected.
    pub fn watch_all(&self) -> impl Iterator<Item = watch::Receiver<u64>> {
        self.known.iter().map(watch::Sender::subscribe)
    }

    /// Whether the state of `token` is known to be projected. Costs no SQL.
    pub fn shows(&self, token: ConsistencyToken) -> bool {
        self.complaint().is_none() && *self.of(token).borrow() >= token.position
    }

    /// Waits for at most `within` until the state of `token` is projected. A state in whose place the log has another
    /// one is not waited for.
    ///
    /// # Errors
    /// When the state was not known in time and the last read of the table failed.
    pub async fn reach(&self, token: ConsistencyToken, within: Duration) -> Result<Reached, DatabaseError> {
        self.reach_or_pass(token, within, false).await
    }

    /// As [`Self::reach`]. If `is_lenient`, no state that the log does not have is waited for.
    async fn reach_or_pass(
        &self,
        token: ConsistencyToken,
        within: Duration,
        is_lenient: bool,
    ) -> Result<Reached, DatabaseError> {
        if self.complaint().is_some() {
            return Ok(Reached::Behind);
        }
        let _waiting = Waiting::new(&self.waiting);
        let at_first = within.min(ASK_THE_LOG_AFTER);
        if self.comes_within(token, at_first).await? {
            return Ok(Reached::There);
        }
        let beyond_the_end = match self.in_log(token).await {
            InLog::There => None,
            // The log may still grow up to it.
            InLog::BeyondTheEnd if !is_lenient => match self.beyond_the_end.try_acquire() {
                Ok(place) => Some(place),
                Err(_) => return Ok(Reached::Lost),
            },
            InLog::BeyondTheEnd | InLog::Not => return Ok(Reached::Lost),
        };
        let left = within.saturating_sub(at_first);
        if !left.is_zero() && self.comes_within(token, left).await? {
            return Ok(Reached::There);
        }
        // If the log has grown up to it meanwhile, only the projection is late.
        if beyond_the_end.is_some() && self.in_log(token).await != InLog::There {
            return Ok(Reached::Lost);
        }
        Ok(Reached::Behind)
    }

    /// What the log has of the event that `token` names. While the log does not answer, nothing counts as lost.
    async fn in_log(&self, token: ConsistencyToken) -> InLog {
        self.log.find(token).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot ask the log for what a token names");
            InLog::There
        })
    }

    /// Like [`Self::reach`], for all of `tokens`. A state that the log does not have is ignored if `is_lenient`, and
    /// otherwise ends the wait.
    ///
    /// # Errors
    /// As [`Self::reach`].
    pub async fn reach_all(
        &self,
        tokens: &[ConsistencyToken],
        within: Duration,
        is_lenient: bool,
    ) -> Result<Waited, DatabaseError> {
        let deadline = Instant::now() + within;
        let mut lost = 0;
        for token in tokens {
            let left = deadline.saturating_duration_since(Instant::now());
            let reached = self.reach_or_pass(*token, left, is_lenient).await?;
            lost += u64::from(reached == Reached::Lost);
            match reached {
                Reached::There => {}
                Reached::Lost if is_lenient => {}
                Reached::Lost | Reached::Behind => return Ok(Waited { reached, lost }),
            }
        }
        Ok(Waited { reached: Reached::There, lost })
    }

    async fn comes_within(&self, token: ConsistencyToken, wait: Duration) -> Result<bool, DatabaseError> {
        let mut known = self.of(token).subscribe();
        let comes = known.wait_for(|position| *position >= token.position);
        if tokio::time::timeout(wait, comes).await.is_ok() {
            return Ok(true);
        }
        // Signals may be late, so the table is read before giving up.
        self.look().await?;
        Ok(*self.of(token).borrow() >= token.position)
    }

    fn of(&self, token: ConsistencyToken) -> &watch::Sender<u64> {
        &self.known[usize::from(self.partitions.of_token(token))]
    }

    /// Handles a signal. Signals about another number of partitions are ignored.
    fn hear(&self, payload: &str) {
        let Ok(step) = payload.parse::<Step>() else {
            return tracing::warn!(payload, "a signal about checkpoints is malformed");
        };
        if step.partitions == self.partitions.get()
            && let Some(known) = self.known.get(usize::from(step.partition))
        {
            advance(known, step.position);
        }
    }

    /// Reads the table. A partition without a row is at 0.
    async fn read(&self) -> Result<Vec<LogPoint>, DatabaseError> {
        let before: Vec<u64> = self.known.iter().map(|known| *known.borrow()).collect();
        let mut found = vec![LogPoint::START; self.known.len()];
        for (partition, point) in checkpoints(&self.read_models, self.partitions).await? {
            if let Some(place) = found.get_mut(usize::from(partition)) {
                *place = point;
            }
        }
        for (partition, ((known, before), found)) in self.known.iter().zip(before).zip(&found).enumerate() {
            if found.position < before {
                if found.position == 0 {
                    self.first_catch_up.emptied(partition);
                }
                // Checkpoints fall only when the read models are rebuilt.
                known.send_replace(found.position);
            } else {
                advance(known, found.position);
            }
        }
        Ok(found)
    }

    async fn look_or_log(&self) {
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "cannot read the checkpoints of the read models");
        }
    }
}

fn advance(known: &watch::Sender<u64>, position: u64) {
    known.send_if_modified(|known| {
        let forward = position > *known;
        *known = position.max(*known);
        forward
    });
}

/// Counts a waiting caller, until it is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
