//! Limits the requests of one person in this process, so that token checks, which use the same connections, are
//! answered meanwhile.

use std::time::Duration;

use events::UserId;
use http_api::{ConcurrencyLimit, Problem};
use tokio::{sync::Semaphore, time::timeout};

use crate::error::{ApiError, Failure};

/// The most running requests of one person. Each uses up to three of few connections.
const REQUESTS_AT_ONCE: usize = 2;
/// The most requests of one person, including those that wait.
const MAX_REQUESTS: usize = 64;
/// The most lists of one person that are read at the same time.
const LISTS_AT_ONCE: usize = 1;
/// The most streams that are read from their beginning at the same time, of all people. Each keeps a connection busy.
const PASTS_AT_ONCE: usize = 2;
/// The time limit of a list. A query that is given up is also cancelled in the database.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// The limits of one person in this process.
pub(crate) struct ConcurrencyLimits {
    pub(crate) requests: ConcurrencyLimit,
    /// Logins that need a code. Somebody who has only the password must not use up the permits of the person.
    pub(super) logins: ConcurrencyLimit,
    /// Requests of programs, whose tokens name a person. Such a token may have been revoked long ago, so it must not
    /// use up the permits of the person.
    pub(crate) programs: ConcurrencyLimit,
    lists: ConcurrencyLimit,
    pasts: Semaphore,
}

impl ConcurrencyLimits {
    pub(crate) fn new() -> Self {
        Self {
            requests: ConcurrencyLimit::new("accounts", REQUESTS_AT_ONCE, MAX_REQUESTS),
            logins: ConcurrencyLimit::new("logins", REQUESTS_AT_ONCE, MAX_REQUESTS),
            programs: ConcurrencyLimit::new("programs", REQUESTS_AT_ONCE, MAX_REQUESTS),
            lists: ConcurrencyLimit::new("lists", LISTS_AT_ONCE, REQUESTS_AT_ONCE),
            pasts: Semaphore::new(PASTS_AT_ONCE),
        }
    }

    /// Waits for a permit of `person`, and runs `reading` within the time limit.
    ///
    /// # Errors
    /// Those of `reading`, and when it takes too long.
    pub(super) async fn list<T>(
        &self,
        person: UserId,
        reading: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, ApiError> {
        let _turn = self.lists.acquire(person).await?;
        Ok(timeout(LIST_TIMEOUT, reading).await.map_err(|_| too_slow())??)
    }

    /// As [`Self::list`], for `reading` a stream of `person` from its beginning, however long that is. Few of them run
    /// at the same time in this process.
    pub(super) async fn past<T>(
        &self,
        person: UserId,
        reading: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, ApiError> {
        let in_turn = async {
            // The semaphore is never closed.
            let _turn = self.pasts.acquire().await;
            reading.await
        };
        self.list(person, in_turn).await
    }
}

fn too_slow() -> Problem {
    tracing::warn!("a list or a past took too long and was given up");
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

    #[tokio::test(start_paused = true)]
    async fn two_pasts_are_read_at_once_whoever_they_are_of() {
        let limits = ConcurrencyLimits::new();
        let mut first = Box::pin(limits.past(GREEDY, pending::<Result<(), _>>()));
        let mut second = Box::pin(limits.past(HONEST, pending::<Result<(), _>>()));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        let mut third = std::pin::pin!(limits.past(UserId(Uuid::from_u128(3)), ready(Ok(()))));
        assert!(futures::poll!(&mut third).is_pending());
        drop(first);
        assert!(third.await.is_ok());
        assert!(second.await.is_err(), "nobody keeps a turn for ever");
    }
}
