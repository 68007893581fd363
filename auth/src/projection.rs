//! Waiting for the read models, for the one endpoint that reads them.

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

/// The most requests that wait at the same time. More are refused at once.
const MAX_AWAITING: usize = 64;

/// The checkpoints of the read models, and the places for waiting.
pub(crate) struct AwaitedProjection {
    projection: Arc<Projection>,
    places: Semaphore,
}

impl AwaitedProjection {
    pub(crate) fn new(read_models: Database, store: Arc<dyn EventStore>, partitions: PartitionCount) -> Self {
        Self {
            projection: Projection::new(read_models, store, partitions),
            places: Semaphore::new(MAX_AWAITING),
        }
    }

    /// Follows the checkpoints in the `background`.
    pub(crate) fn follow(&self, background: &Background) {
        self.projection.follow(background);
    }

    /// Waits for the states that a request asks for. Returns the headers of the answer, with a token for all
    /// partitions, because it is about all accounts.
    ///
    /// # Errors
    /// When that is not there in time, or too many wait already, or while the read models are filled for the first
    /// time.
    pub(crate) async fn reached(&self, caller: UserId, at_least: &AtLeast) -> Result<HeaderMap, ApiError> {
        let projection = &self.projection;
        // This is used so rarely that there is no regular comparison.
        projection.compare().await.map_err(Failure::from)?;
        if !at_least.tokens.iter().all(|token| projection.shows(*token)) {
            let _place = self
                .places
                .try_acquire()
                .map_err(|_| Problem::overloaded("Too many requests wait for the read models."))?;
            let waited = projection
                .reach_all(&at_least.tokens, at_least.wait(), at_least.is_lenient)
                .await
                .map_err(Failure::ReadModels)?;
            match waited.reached {
                Reached::There => {}
                Reached::Behind => return Err(at_least.behind(false).into()),
                Reached::Lost => return Err(at_least.behind(true).into()),
            }
            // The wait was for one partition, and the answer is about all.
            projection.look().await.map_err(Failure::ReadModels)?;
        }
        if let Some(percent) = projection.any_catching_up() {
            return Err(AtLeast::catching_up(percent).into());
        }
        Ok(at_least.shown(ConsistencyToken::new(caller, projection.least())))
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::ReadModels(error) => Self::ReadModels(error),
            CompareError::Log(error) => Self::Repository(error.into()),
        }
    }
}
