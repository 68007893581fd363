//! Limits how many requests are sent again, to a share of all requests, so that a failing role is not flooded.

use std::time::Duration;

use parking_lot::Mutex;
use runtime::random_between;
use tokio::time::Instant;

/// The part of a retry that each request adds to the budget.
const SHARE: f64 = 0.2;
/// The retries per second that are always allowed, because few requests add too little.
const EACH_SECOND: f64 = 10.0;
/// The most retries that are saved.
const MAX_RETRIES: f64 = 100.0;
/// The longest pause before a retry. It is random, so that requests that failed together do not return together.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// The budget of one role.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<Saved>);

#[derive(Debug)]
struct Saved {
    retries: f64,
    since: Instant,
}

impl RetryBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Saved { retries: EACH_SECOND, since: now }))
    }

    /// Adds the share of a new request.
    pub(super) fn pay_in(&self) {
        self.change(|saved| saved.retries = (saved.retries + SHARE).min(MAX_RETRIES));
    }

    /// Takes one retry from the budget, and returns whether there was one.
    pub(super) fn spend(&self, now: Instant) -> bool {
        self.change(|saved| {
            let seconds = now.saturating_duration_since(saved.since).as_secs_f64();
            if saved.retries < EACH_SECOND {
                saved.retries = (saved.retries + seconds * EACH_SECOND).min(EACH_SECOND);
            }
            saved.since = now;
            let is_enough = saved.retries >= 1.0;
            if is_enough {
                saved.retries -= 1.0;
            }
            is_enough
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Saved) -> T) -> T {
        change(&mut self.0.lock())
    }
}

/// The pause before a retry.
pub(super) fn pause() -> Duration {
    MAX_PAUSE.mul_f64(random_between(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_requests() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        let spent = (0..1_000)
            .filter(|_| {
                budget.pay_in();
                budget.spend(now)
            })
            .count();
        // Those that are always allowed, and a fifth of a thousand.
        assert!((200..=211).contains(&spent), "{spent}");
    }

    #[test]
    fn a_few_are_always_allowed_and_no_more_are_saved_up() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        let spend = |at| (0..1_000).filter(|_| budget.spend(at)).count();
        assert_eq!(spend(now), 10);
        assert_eq!(spend(now + Duration::from_secs(3_600)), 10);
        for _ in 0..10_000 {
            budget.pay_in();
        }
        assert_eq!(spend(now + Duration::from_secs(7_200)), 100);
    }
}
