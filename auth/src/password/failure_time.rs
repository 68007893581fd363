//! How long a failed login takes: the same for everybody, whatever the account's hash costs to compare with, so that the
//! time tells nothing about whether there is an account, or how old its hash is.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Kinds of hashes that are told apart; there are as many as parameters were ever in use.
const KINDS: usize = 64;
/// How much longer than the most expensive comparison a failure takes, so that nearly none takes longer by itself.
const FACTOR: u32 = 3;
/// Beyond this a failure takes what it takes. What is dearer is not imported ([`HIGHEST_COST`](super::HIGHEST_COST)).
const LONGEST: Duration = Duration::from_secs(2);
/// How much a new measurement counts for.
const WEIGHT: f64 = 0.1;

/// What comparisons have cost, by the kind of hash.
#[derive(Debug)]
pub(crate) struct FailureTime {
    shortest: Duration,
    averages: Mutex<HashMap<String, Duration>>,
}

impl FailureTime {
    pub(super) fn new(shortest: Duration) -> Self {
        Self {
            shortest,
            averages: Mutex::default(),
        }
    }

    /// A comparison with `hash` took so long. Returns whether it is the first with a hash of this kind.
    pub(super) fn record(&self, hash: &str, took: Duration) -> bool {
        // Each average is written whole, so a poisoned lock is as good as any.
        let mut averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kind_of(hash);
        if let Some(average) = averages.get_mut(kind) {
            *average = average.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT);
            false
        } else {
            averages.len() < KINDS && averages.insert(kind.to_owned(), took).is_none()
        }
    }

    /// Comparisons with hashes of this kind are known to take so long, if none was measured here yet.
    pub(super) fn expect(&self, kind: &str, took: Duration) {
        let mut averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
        if averages.len() < KINDS {
            averages.entry(kind.to_owned()).or_insert(took);
        }
    }

    /// Whether it is known what a comparison with `hash` costs.
    pub(super) fn knows(&self, hash: &str) -> bool {
        let averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
        averages.contains_key(kind_of(hash))
    }

    /// Waits until a failure whose comparison began at `since` has taken as long as every other.
    pub(super) async fn wait(&self, since: Instant) {
        sleep_until(since + self.duration()).await;
    }

    fn duration(&self) -> Duration {
        let averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
        let dearest = averages.values().max().copied().unwrap_or_default();
        (dearest * FACTOR).min(LONGEST).max(self.shortest)
    }
}

/// The algorithm and its parameters: a PHC string without salt and output, of bcrypt the version and the cost.
pub(crate) fn kind_of(hash: &str) -> &str {
    if hash.starts_with("$2") {
        return hash.get(..6).unwrap_or(hash);
    }
    hash.rsplitn(3, '$').last().unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_the_algorithm_and_its_parameters() {
        assert_eq!(
            kind_of("$argon2id$v=19$m=64,t=2,p=1$c2FsdA$b3V0"),
            "$argon2id$v=19$m=64,t=2,p=1"
        );
        assert_eq!(
            kind_of("$2b$10$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie"),
            "$2b$10"
        );
        assert_eq!(kind_of("rubbish"), "rubbish");
    }

    #[test]
    fn a_failure_takes_as_long_as_with_the_dearest_hash_there_is() {
        let time = FailureTime::new(Duration::from_millis(250));
        let millis = Duration::from_millis;
        assert_eq!(time.duration(), millis(250));
        assert!(time.record("$2b$10$cheap", millis(30)));
        assert_eq!(time.duration(), millis(250));
        for _ in 0..100 {
            time.record("$2b$12$dear", millis(200));
            time.record("$2b$10$cheap", millis(30));
        }
        assert!(
            time.duration().abs_diff(millis(600)) < millis(1),
            "{:?}",
            time.duration()
        );
        time.record("$2b$20$absurd", millis(60_000));
        assert_eq!(time.duration(), LONGEST);
    }

    #[test]
    fn what_was_measured_elsewhere_counts_until_it_is_measured_here() {
        let time = FailureTime::new(Duration::ZERO);
        let millis = Duration::from_millis;
        let hash = "$2b$12$dear";
        assert!(!time.knows(hash));
        time.expect("$2b$12", millis(200));
        assert!(time.knows(hash));
        assert_eq!(time.duration(), millis(600));
        assert!(!time.record(hash, millis(200)), "it is not new any more");
        time.expect("$2b$12", millis(1));
        assert!(time.duration() > millis(590), "{:?}", time.duration());
    }
}
