//! How much one person may have at work in this process at the same time, so that token checks, which use the same connections,
//! are answered beside it.

use std::time::Duration;

use events::UserId;
use http_api::{Allowance, Problem};
use runtime::{KeyedPermit, KeyedSemaphore, NoKeyedPermit};
use tokio::time::timeout;

use crate::error::{ApiError, Failure};

/// How many requests of one person run at the same time. Each uses up to three connections of few.
const REQUESTS_AT_ONCE: usize = 2;
/// How many requests of one person are here, with those that wait.
const MOST_REQUESTS: usize = 64;
/// The same as a client is told it.
const REQUESTS: Allowance = Allowance::at_once("accounts", MOST_REQUESTS as u64);
/// How many lists of one person are read at the same time.
const LISTS_AT_ONCE: usize = 1;
/// The longest wait of a request for the same person's others.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a list may take. What is given up ends in the database as well.
const LONGEST_LIST: Duration = Duration::from_secs(3);

/// What one person may have of this process at the same time.
pub(crate) struct ConcurrencyLimits {
    requests: KeyedSemaphore<UserId>,
    lists: KeyedSemaphore<UserId>,
}

impl ConcurrencyLimits {
    pub(crate) fn new() -> Self {
        Self {
            requests: KeyedSemaphore::new(REQUESTS_AT_ONCE, MOST_REQUESTS),
            lists: KeyedSemaphore::new(LISTS_AT_ONCE, REQUESTS_AT_ONCE),
        }
    }

    /// The turn of `person` for a request.
    ///
    /// # Errors
    /// When too many of their requests are here, or it takes too long.
    pub(crate) async fn request(&self, person: UserId) -> Result<KeyedPermit<UserId>, Problem> {
        turn(&self.requests, person).await
    }

    /// What `reading` gives, when it is the turn of `person` and if it does not take too long.
    ///
    /// # Errors
    /// Those of `reading`, and when it takes too long.
    pub(super) async fn list<T>(
        &self,
        person: UserId,
        reading: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, ApiError> {
        let _turn = turn(&self.lists, person).await?;
        Ok(timeout(LONGEST_LIST, reading).await.map_err(|_| too_slow())??)
    }
}

async fn turn(turns: &KeyedSemaphore<UserId>, person: UserId) -> Result<KeyedPermit<UserId>, Problem> {
    turns.take(person, TIMEOUT).await.map_err(|none| match none {
        NoKeyedPermit::Full => Problem::used_up(REQUESTS)
            .detail("Wait for the answers to your other requests before sending more."),
        NoKeyedPermit::Late => Problem::overloaded("Your other requests take too long. Try again."),
    })
}

fn too_slow() -> Problem {
    tracing::warn!("a list took too long and was given up");
    Problem::overloaded("The list took too long. Ask again, or for less at a time.")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use uuid::Uuid;

    use super::*;

    const GREEDY: UserId = UserId(Uuid::from_u128(1));
    const HONEST: UserId = UserId(Uuid::from_u128(2));

    #[tokio::test(start_paused = true)]
    async fn a_list_that_takes_too_long_is_given_up_and_holds_up_nobody_else() {
        let shares = ConcurrencyLimits::new();
        let mut slow = std::pin::pin!(shares.list(GREEDY, pending::<Result<(), _>>()));
        assert!(futures::poll!(&mut slow).is_pending());
        let mut next = std::pin::pin!(shares.list(GREEDY, ready(Ok(()))));
        assert!(futures::poll!(&mut next).is_pending());
        assert!(shares.list(HONEST, ready(Ok(()))).await.is_ok());
        assert!(matches!(slow.await, Err(ApiError::Bad(problem)) if problem.code() == "overloaded"));
        assert!(next.await.is_ok());
    }
}
