//! How fast one person's batches may follow one another: the generic cell rate algorithm (ITU-T I.371). A hundred commands of
//! a batch are appended much faster than they are projected, and others wait behind what one person piles up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use events::UserId;
use moka::{future::Cache, policy::EvictionPolicy};
use tokio::time::{Instant, sleep_until};

/// Commands a second of one person, in the long run.
const RATE: u32 = 2_000;
/// So much at that rate may be done at once by whoever was quiet for so long.
const BURST: Duration = Duration::from_secs(1);
/// People who are remembered, those with the last batches.
const PEOPLE: u64 = 10_000;

/// When the commands of each person's batches will have been due at the rate.
#[derive(Debug, Clone)]
pub(crate) struct BatchRate(Cache<UserId, Arc<Mutex<Instant>>>);

impl BatchRate {
    pub(crate) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(PEOPLE)
                .time_to_idle(BURST * 2)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        )
    }

    /// Waits until so many more commands of `person` are due. A batch waits for those before it, not for its own.
    pub(super) async fn wait(&self, person: UserId, commands: usize) {
        let quiet = async { Arc::new(Mutex::new(Instant::now())) };
        let due = self.0.get_with(person, quiet).await;
        let before = {
            // It is written whole, so a poisoned lock is as good as any.
            let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
            let before = (*due).max(Instant::now());
            *due = before + Duration::from_secs(1) / RATE * u32::try_from(commands).unwrap_or(u32::MAX);
            before
        };
        sleep_until(before - BURST).await;
    }
}

#[cfg(test)]
mod tests {
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
