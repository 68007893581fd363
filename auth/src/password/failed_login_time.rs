//! The duration of a failed login: the same for every account, so that it reveals neither whether the account exists,
//! nor the kind of its hash.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// The most kinds of hashes. There is one for each set of parameters that was ever used.
const KINDS: usize = 64;
/// How many times as long as the most expensive comparison a failure takes, so that almost none takes longer.
const FACTOR: u32 = 3;
/// The longest delay of a failure. Hashes that are more expensive are not imported
/// ([`HIGHEST_COST`](super::HIGHEST_COST)).
const MAX_DURATION: Duration = Duration::from_secs(2);
/// The weight of a new measurement.
const WEIGHT: f64 = 0.1;

/// The average costs of comparisons, for each kind of hash.
#[derive(Debug)]
pub(crate) struct FailedLoginTime {
    shortest: Duration,
    averages: Mutex<HashMap<String, Duration>>,
}

impl FailedLoginTime {
    pub(super) fn new(shortest: Duration) -> Self {
        Self { shortest, averages: Mutex::default() }
    }

    /// Records the duration of a comparison with `hash`. Returns whether it is the first with this kind of hash.
    pub(super) fn record(&self, hash: &str, took: Duration) -> bool {
        let mut averages = self.averages.lock();
        let kind = kind_of(hash);
        if let Some(average) = averages.get_mut(kind) {
            *average = average.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT);
            false
        } else {
            averages.len() < KINDS && averages.insert(kind.to_owned(), took).is_none()
        }
    }

    /// Sets the cost for this kind of hash, if none was measured here yet.
    pub(crate) fn expect(&self, kind: &str, took: Duration) {
        let mut averages = self.averages.lock();
        if averages.len() < KINDS {
            averages.entry(kind.to_owned()).or_insert(took);
        }
    }

    /// Whether the cost of a comparison with `hash` is known.
    pub(crate) fn knows(&self, hash: &str) -> bool {
        let averages = self.averages.lock();
        averages.contains_key(kind_of(hash))
    }

    /// Waits until a failure whose comparison began at `since` has taken the common time.
    pub(crate) async fn wait(&self, since: Instant) {
        sleep_until(since + self.duration()).await;
    }

    fn duration(&self) -> Duration {
        let averages = self.averages.lock();
        let dearest = averages.values().max().copied().unwrap_or_default();
        (dearest * FACTOR).min(MAX_DURATION).max(self.shortest)
    }
}

/// The kind of a hash: algorithm and parameters. A PHC string without salt and output; for bcrypt the version and the
/// cost.
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
        assert_eq!(kind_of("$argon2id$v=19$m=64,t=2,p=1$c2FsdA$b3V0"), "$argon2id$v=19$m=64,t=2,p=1");
        assert_eq!(kind_of("$2b$10$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie"), "$2b$10");
        assert_eq!(kind_of("rubbish"), "rubbish");
    }

    #[test]
    fn a_failure_takes_as_long_as_with_the_dearest_hash_there_is() {
        let time = FailedLoginTime::new(Duration::from_millis(250));
        let millis = Duration::from_millis;
        assert_eq!(time.duration(), millis(250));
        assert!(time.record("$2b$10$cheap", millis(30)));
        assert_eq!(time.duration(), millis(250));
        for _ in 0..100 {
            time.record("$2b$12$dear", millis(200));
            time.record("$2b$10$cheap", millis(30));
        }
        assert!(time.duration().abs_diff(millis(600)) < millis(1), "{:?}", time.duration());
        time.record("$2b$20$absurd", millis(60_000));
        assert_eq!(time.duration(), MAX_DURATION);
    }

    #[test]
    fn what_was_measured_elsewhere_counts_until_it_is_measured_here() {
        let time = FailedLoginTime::new(Duration::ZERO);
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
