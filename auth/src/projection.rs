//! How far the read models have come, for the one endpoint that reads them. Those who ask are few, so the checkpoints are read
//! from their table each time.

use std::time::Duration;

use database::{Database, DatabaseError};
use event_store::{EventStore, StoreError};
use events::{ConsistencyToken, PartitionCount, UserId};
use http::HeaderMap;
use http_api::{AtLeast, Problem};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use crate::{
    auth::Auth,
    error::{ApiError, Failure},
};

/// How often the checkpoints are read while somebody waits for them.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Requests that wait at the same time. More are turned away at once.
const MOST_AWAITING: usize = 64;

/// The checkpoints of the read models.
pub(crate) struct Projection {
    partitions: PartitionCount,
    places: Semaphore,
}

impl Projection {
    pub(crate) fn new(partitions: PartitionCount) -> Self {
        Self {
            partitions,
            places: Semaphore::new(MOST_AWAITING),
        }
    }

    /// The position up to which each partition has been projected.
    async fn checkpoints(&self, read_models: &Database) -> Result<Vec<u64>, DatabaseError> {
        // A partition without a row is at the beginning.
        let mut positions = vec![0; usize::from(self.partitions.get())];
        for (partition, point) in read_models::checkpoints(read_models, self.partitions).await? {
            if let Some(position) = positions.get_mut(usize::from(partition)) {
                *position = point.position;
            }
        }
        Ok(positions)
    }

    fn shows(&self, checkpoints: &[u64], token: ConsistencyToken) -> bool {
        let position = checkpoints.get(usize::from(self.partitions.of_token(token)));
        position.is_some_and(|position| *position >= token.position)
    }
}

/// Waits until the read models show what a request wants to see. Returns the headers of the answer: what it shows at least of
/// everybody, since it is about all accounts.
///
/// # Errors
/// When that is not there in time, or too many wait already.
pub(crate) async fn reached(auth: &Auth, caller: UserId, at_least: &AtLeast) -> Result<HeaderMap, ApiError> {
    let projection = &auth.projection;
    let look = async || {
        let checkpoints = projection.checkpoints(&auth.read_models).await;
        checkpoints.map_err(Failure::from)
    };
    let deadline = Instant::now() + at_least.wait();
    let mut checkpoints = look().await?;
    let mut missing = at_least.tokens.clone();
    missing.retain(|token| !projection.shows(&checkpoints, *token));
    if !missing.is_empty() {
        let _place = projection
            .places
            .try_acquire()
            .map_err(|_| Problem::overloaded("Too many requests wait for the read models."))?;
        let has_lost = drop_lost(&*auth.store, &mut missing).await?;
        if has_lost && !at_least.is_lenient {
            return Err(at_least.behind(true).into());
        }
        while !missing.is_empty() {
            if Instant::now() >= deadline {
                return Err(at_least.behind(false).into());
            }
            sleep(LOOK_EVERY).await;
            checkpoints = look().await?;
            missing.retain(|token| !projection.shows(&checkpoints, *token));
        }
    }
    let least = checkpoints.into_iter().min().unwrap_or_default();
    Ok(at_least.shown(ConsistencyToken::new(caller, least)))
}

/// Takes out what the log does not have, so that it is never projected. Returns whether there was any.
async fn drop_lost(store: &dyn EventStore, missing: &mut Vec<ConsistencyToken>) -> Result<bool, Failure> {
    let positions: Vec<u64> = missing.iter().map(|token| token.position).collect();
    let found = store.identify(&positions).await.map_err(unreadable)?;
    let before = missing.len();
    let mut found = found.into_iter();
    missing.retain(|token| found.next().flatten().is_some_and(|id| token.may_name(id)));
    Ok(missing.len() < before)
}

fn unreadable(error: StoreError) -> Failure {
    Failure::Repository(error.into())
}
