//! How far the read models have come, for the one endpoint that reads them.

use std::sync::Arc;

use database::Database;
use event_store::{EventStore, StoreError};
use events::{ConsistencyToken, PartitionCount, UserId};
use http::HeaderMap;
use http_api::{AtLeast, Problem};
use read_models::Progress;
use tokio::sync::Semaphore;

use crate::error::{ApiError, Failure};

/// Requests that wait at the same time. More are turned away at once.
const MOST_AWAITING: usize = 64;

/// The read models as the projector brings them up to the log, and who may wait for that.
pub(crate) struct Projection {
    read_models: Database,
    store: Arc<dyn EventStore>,
    partitions: PartitionCount,
    places: Semaphore,
}

impl Projection {
    pub(crate) fn new(read_models: Database, store: Arc<dyn EventStore>, partitions: PartitionCount) -> Self {
        Self {
            read_models,
            store,
            partitions,
            places: Semaphore::new(MOST_AWAITING),
        }
    }

    /// Waits until the read models show what a request wants to see. Returns the headers of the answer: what it shows at least of
    /// everybody, since it is about all accounts.
    ///
    /// # Errors
    /// When that is not there in time, or too many wait already.
    pub(crate) async fn reached(&self, caller: UserId, at_least: &AtLeast) -> Result<HeaderMap, ApiError> {
        let now = Progress::read(&self.read_models, self.partitions).await;
        let mut progress = now.map_err(Failure::from)?;
        let mut missing = at_least.tokens.clone();
        missing.retain(|token| !progress.shows(*token));
        if !missing.is_empty() {
            let _place = self
                .places
                .try_acquire()
                .map_err(|_| Problem::overloaded("Too many requests wait for the read models."))?;
            let has_lost = drop_lost(&*self.store, &mut missing).await?;
            if has_lost && !at_least.is_lenient {
                return Err(at_least.behind(true).into());
            }
            let reaching = Progress::reach(&self.read_models, self.partitions, &missing, at_least.wait());
            progress = reaching
                .await
                .map_err(Failure::from)?
                .ok_or_else(|| at_least.behind(false))?;
        }
        Ok(at_least.shown(ConsistencyToken::new(caller, progress.least())))
    }
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
