//! Limits how many requests of one person are in progress in this process at the same time, so that others get their
//! share.

use std::time::Duration;

use events::UserId;
use runtime::{KeyedPermit, KeyedSemaphore, NoKeyedPermit};

use crate::{Allowance, Problem};

/// The longest wait of a request for the same person's others.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A limit that applies to each person.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    requests: KeyedSemaphore<UserId>,
    allowance: Allowance,
}

impl ConcurrencyLimit {
    /// Of one person `at_once` requests run, and `most` run or wait. A request beyond them is refused: the allowance
    /// `name`, of which clients are told, is `most`.
    pub fn new(name: &'static str, at_once: usize, most: usize) -> Self {
        Self {
            requests: KeyedSemaphore::new(at_once, most),
            allowance: Allowance::at_once(name, most as u64),
        }
    }

    /// Waits for a permit of `person`.
    ///
    /// # Errors
    /// `429 rate-limited` when too many of their requests run or wait, and `503 overloaded` when the wait takes too
    /// long.
    pub async fn acquire(&self, person: UserId) -> Result<KeyedPermit<UserId>, Problem> {
        let permit = self.requests.take(person, TIMEOUT).await;
        permit.map_err(|none| match none {
            NoKeyedPermit::Full => Problem::used_up(self.allowance)
                .detail("Wait for the answers to your other requests before sending more."),
            NoKeyedPermit::Late => Problem::overloaded("Your other requests take too long. Try again."),
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_quota_includes_the_requests_that_wait() {
        let limit = ConcurrencyLimit::new("batches", 1, 2);
        let person = UserId(Uuid::from_u128(1));
        let _running = limit.acquire(person).await.unwrap();
        let mut waiting = std::pin::pin!(limit.acquire(person));
        assert!(futures::poll!(&mut waiting).is_pending());
        let refused = limit.acquire(person).await.unwrap_err().into_response();
        let policy = "\"batches\";q=2;qu=\"concurrent-requests\"";
        assert_eq!(refused.headers()["ratelimit-policy"], policy);
        assert_eq!(waiting.await.unwrap_err().code(), "overloaded");
        limit.acquire(UserId(Uuid::from_u128(2))).await.unwrap();
    }
}
