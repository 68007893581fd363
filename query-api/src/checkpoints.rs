//! How far the read models have come, known without asking the database each time.
//!
//! The projector signals each step; the table of checkpoints is read when signals may have been lost, and
//! every now and then while somebody waits. What is known may lag behind what is there, never the reverse.

use std::{sync::Arc, time::Duration};

use database::{Database, DatabaseError};
use events::{ConsistencyToken, PartitionCount, UserId};
use read_models::{CHECKPOINT_CHANNEL, Step};
use runtime::Background;
use tokio::sync::watch;

use crate::log_identity::LogIdentity;

/// How often the table is read while somebody waits, in case a signal was lost.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A projection is usually there within a few milliseconds. Whoever waits longer than this asks the log whether it has what is
/// waited for at all.
const ASK_THE_LOG_AFTER: Duration = Duration::from_millis(50);

/// What came of waiting for a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// It is there.
    There,
    Behind,
    /// It never will be: the log does not have it, or not any more.
    Lost,
}

/// The position up to which each partition has been projected.
pub(crate) struct Checkpoints {
    database: Database,
    partitions: PartitionCount,
    log: LogIdentity,
    known: Vec<watch::Sender<u64>>,
    waiting: watch::Sender<usize>,
}

impl Checkpoints {
    /// Reads the table and follows it from then on, in the `background`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) async fn follow(
        database: Database,
        partitions: PartitionCount,
        log: LogIdentity,
        background: &Background,
    ) -> Result<Arc<Self>, DatabaseError> {
        let known = partitions.iter().map(|_| watch::Sender::new(0)).collect();
        let checkpoints = Arc::new(Self {
            database,
            partitions,
            log: log.clone(),
            known,
            waiting: watch::Sender::new(0),
        });
        // Listen first, so that nothing falls between reading and listening.
        let mut signals = checkpoints.database.signals(CHECKPOINT_CHANNEL);
        checkpoints.look().await?;

        let here = Arc::clone(&checkpoints);
        background.spawn_until_stopped("signals of checkpoints", async move {
            loop {
                match signals.next().await {
                    Some(payload) => here.hear(&payload),
                    None => here.look_or_log().await,
                }
            }
        });
        let here = Arc::clone(&checkpoints);
        background.spawn_until_stopped("looks at checkpoints", async move {
            let mut waiting = here.waiting.subscribe();
            // Ends never: `here` keeps the sender.
            while waiting.wait_for(|waiting| *waiting > 0).await.is_ok() {
                tokio::time::sleep(LOOK_EVERY).await;
                here.look_or_log().await;
            }
        });
        background.spawn_until_stopped("identity of the log", log.watch());
        Ok(checkpoints)
    }

    /// The state of everything about `subject` that any later read shows at least.
    pub(crate) fn state_of(&self, subject: UserId) -> ConsistencyToken {
        let position = *self.known[usize::from(self.partitions.of(subject))].borrow();
        ConsistencyToken::new(subject, position)
    }

    /// Follows how far everything about `subject` has been projected.
    pub(crate) fn watch(&self, subject: UserId) -> watch::Receiver<u64> {
        self.known[usize::from(self.partitions.of(subject))].subscribe()
    }

    /// Whether everything that `token` names is known to have been projected. Costs no SQL.
    pub(crate) fn shows(&self, token: ConsistencyToken) -> bool {
        // Checkpoints of another log are no measure for this one.
        self.log.complaint().is_none() && *self.of(token).borrow() >= token.position
    }

    /// Waits, at most so long, until everything that `token` names has been projected; not at all for what the log does not
    /// have.
    ///
    /// # Errors
    /// When it was not known in time and the last look into the table failed.
    pub(crate) async fn reach(
        &self,
        token: ConsistencyToken,
        wait: Duration,
    ) -> Result<Reached, DatabaseError> {
        if self.log.complaint().is_some() {
            return Ok(Reached::Behind);
        }
        let _waiting = Waiting::new(&self.waiting);
        let at_first = wait.min(ASK_THE_LOG_AFTER);
        if self.comes_within(token, at_first).await? {
            return Ok(Reached::There);
        }
        match self.log.has(token).await {
            Ok(true) => {}
            Ok(false) => return Ok(Reached::Lost),
            Err(error) => tracing::debug!(%error, "cannot ask the log for what a token names"),
        }
        let left = wait.saturating_sub(at_first);
        if !left.is_zero() && self.comes_within(token, left).await? {
            return Ok(Reached::There);
        }
        Ok(Reached::Behind)
    }

    async fn comes_within(&self, token: ConsistencyToken, wait: Duration) -> Result<bool, DatabaseError> {
        let mut known = self.of(token).subscribe();
        let comes = known.wait_for(|position| *position >= token.position);
        if tokio::time::timeout(wait, comes).await.is_ok() {
            return Ok(true);
        }
        // Signals may lag: nobody is turned away without a look.
        self.look().await?;
        Ok(*self.of(token).borrow() >= token.position)
    }

    fn of(&self, token: ConsistencyToken) -> &watch::Sender<u64> {
        &self.known[usize::from(self.partitions.of_token(token))]
    }

    /// Takes a signal. One of another number of partitions is about another set of checkpoints.
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
    async fn look(&self) -> Result<(), DatabaseError> {
        let before: Vec<u64> = self.known.iter().map(|known| *known.borrow()).collect();
        let mut found = vec![0; self.known.len()];
        for (partition, point) in read_models::checkpoints(&self.database, self.partitions).await? {
            if let Some(position) = found.get_mut(usize::from(partition)) {
                *position = point.position;
            }
        }
        for ((known, before), found) in self.known.iter().zip(before).zip(found) {
            if found < before {
                // Checkpoints only fall when the read models are built again.
                known.send_replace(found);
            } else {
                advance(known, found);
            }
        }
        Ok(())
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

/// Counts among those who wait, until dropped.
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
