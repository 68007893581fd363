//! Limits the rate of one person's batches. The commands of a batch are appended much faster than they are projected,
//! so the projection of one person's changes would delay others.

use std::{sync::Arc, time::Duration};

use events::UserId;
use rate_limit::{Quota, Spending};
use tokio::time::sleep_until;

/// The commands per second of one person in the long run, and the burst of a person who sent none before.
const RATE: u32 = 2_000;
/// The most people who are remembered, those with the latest batches.
const PEOPLE: usize = 10_000;

/// For each person the time until which the commands of earlier batches take at the rate.
#[derive(Debug, Clone)]
pub(crate) struct BatchRate {
    quota: Quota,
    spending: Arc<Spending>,
}

impl BatchRate {
    pub(crate) fn new() -> Self {
        Self {
            quota: Quota::new(RATE, Duration::from_secs(1), RATE),
            spending: Arc::new(Spending::new(PEOPLE)),
        }
    }

    /// Waits until `person` may send `commands` more. A batch waits for earlier ones, not for itself.
    pub(super) async fn wait(&self, person: UserId, commands: usize) {
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        let before = self.spending.spend_ahead(self.quota, person, commands);
        let due = before.saturating_sub(self.quota.window());
        sleep_until(self.spending.instant(due)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_person_is_slowed_down_after_a_burst_and_nobody_else() {
        let (rate, begun) = (BatchRate::new(), Instant::now());
        let (greedy, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        for _ in 0..21 {
            rate.wait(greedy, 100).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "a burst");
        for _ in 0..20 {
            rate.wait(greedy, 100).await;
        }
        let slowed = begun.elapsed();
        assert!((990..1_010).contains(&slowed.as_millis()), "{slowed:?}");
        rate.wait(other, 100).await;
        assert_eq!(begun.elapsed(), slowed, "another");
        tokio::time::sleep(Duration::from_secs(60)).await;
        rate.wait(greedy, 100).await;
        rate.wait(greedy, 100).await;
        assert_eq!(begun.elapsed(), slowed + Duration::from_secs(60), "later");
    }
}
