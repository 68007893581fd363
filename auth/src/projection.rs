//! How far the read models have come, for the one endpoint that reads them.

use std::sync::Arc;

use database::Database;
use event_store::EventStore;
use events::{ConsistencyToken, PartitionCount, UserId};
use http::HeaderMap;
use http_api::{AtLeast, Problem};
use read_models::{CompareError, Projection, Reached};
use runtime::Background;
use tokio::sync::Semaphore;

use crate::error::{ApiError, Failure};

/// Requests that wait at the same time. More are turned away at once.
const MOST_AWAITING: usize = 64;

/// The read models as the projector brings them up to the log, and who may wait for that.
pub(crate) struct AwaitedProjection {
    projection: Arc<Projection>,
    places: Semaphore,
}

impl AwaitedProjection {
    pub(crate) fn new(read_models: Database, store: Arc<dyn EventStore>, partitions: PartitionCount) -> Self {
        Self {
            projection: Projection::new(read_models, store, partitions),
            places: Semaphore::new(MOST_AWAITING),
        }
    }

    /// Follows it in the `background`, for those who wait.
    pub(crate) fn follow(&self, background: &Background) {
        self.projection.follow(background);
    }

    /// Waits until the read models show what a request wants to see. Returns the headers of the answer: what it shows at least of
    /// everybody, since it is about all accounts.
    ///
    /// # Errors
    /// When that is not there in time, or too many wait already.
    pub(crate) async fn reached(&self, caller: UserId, at_least: &AtLeast) -> Result<HeaderMap, ApiError> {
        let projection = &self.projection;
        // This is asked so seldom that nobody compares meanwhile.
        projection.compare().await.map_err(Failure::from)?;
        if !at_least.tokens.iter().all(|token| projection.shows(*token)) {
            let _place = self
                .places
                .try_acquire()
                .map_err(|_| Problem::overloaded("Too many requests wait for the read models."))?;
            let waited = projection
                .reach_all(&at_least.tokens, at_least.wait(), at_least.is_lenient)
                .await
                .map_err(Failure::from)?;
            match waited.reached {
                Reached::There => {}
                Reached::Behind => return Err(at_least.behind(false).into()),
                Reached::Lost => return Err(at_least.behind(true).into()),
            }
            // What was waited for is of one partition, and the answer tells of all.
            projection.look().await.map_err(Failure::from)?;
        }
        Ok(at_least.shown(ConsistencyToken::new(caller, projection.least())))
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::ReadModels(error) => error.into(),
            CompareError::Log(error) => Self::Repository(error.into()),
        }
    }
}
