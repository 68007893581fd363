//! The state of each key, in a table of bounded size.
//!
//! A keyed hash assigns each key to a row. A row has few places; when all are taken, the key that has used least
//! loses its place, which changes nothing if it has its whole burst again. So a flood of new keys displaces unused
//! keys first, and those that have used most last.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    sync::OnceLock,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::{Quota, Standing};

const PLACES: usize = 8;

/// One place: the hash of a key, and its state.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    due: Duration,
}

type Row = [Place; PLACES];

/// Rows that are allocated together, when a key needs the first of them.
type Block = Box<[Mutex<Row>; ROWS]>;
const ROWS: usize = 16;

/// The state of each key.
#[derive(Debug)]
pub struct Spending {
    blocks: Box<[OnceLock<Block>]>,
    hasher: RandomState,
    /// The origin of the stored instants.
    started: Instant,
}

/// The refusal of one of several limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The index of the limit in the list.
    pub index: usize,
    /// The time until it allows one more.
    pub wait: Duration,
}

impl Spending {
    /// Creates a table for at least this many keys, if they are spread evenly. It takes its memory while keys come.
    pub fn new(keys: usize) -> Self {
        let blocks = keys.div_ceil(PLACES * ROWS).next_power_of_two();
        Self {
            blocks: (0..blocks).map(|_| OnceLock::new()).collect(),
            hasher: RandomState::new(),
            started: Instant::now(),
        }
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Converts a time since the start to an instant.
    pub fn instant(&self, since_start: Duration) -> Instant {
        self.started + since_start
    }

    /// Spends one from each of `limits`, or from none when one of them refuses. Returns the remaining quota of each.
    ///
    /// # Errors
    /// The first limit that refuses.
    pub fn spend(&self, limits: &[(Quota, impl Hash)]) -> Result<Vec<Standing>, Refused> {
        let now = self.now();
        let mut standings = Vec::with_capacity(limits.len());
        for (index, (quota, key)) in limits.iter().enumerate() {
            match self.spend_one(*quota, key, now) {
                Ok(standing) => standings.push(standing),
                Err(wait) => {
                    for (quota, key) in &limits[..index] {
                        self.give_back(*quota, key);
                    }
                    return Err(Refused { index, wait });
                }
            }
        }
        Ok(standings)
    }

    /// The remaining quota of a key.
    pub fn standing(&self, quota: Quota, key: impl Hash) -> Standing {
        let hash = self.hash(key);
        let row = self.row(hash);
        let due = row.iter().find(|place| place.key == hash).map(|place| place.due);
        quota.standing(due.unwrap_or_default(), self.now())
    }

    /// Spends `count`, even beyond the quota, and returns when everything before will have been earned.
    pub fn spend_ahead(&self, quota: Quota, key: impl Hash, count: u32) -> Duration {
        let now = self.now();
        let hash = self.hash(key);
        let mut row = self.row(hash);
        let place = place_of(&mut row, hash);
        let before = place.due.max(now);
        place.due = quota.after(place.due, now, count);
        before
    }

    fn spend_one(&self, quota: Quota, key: impl Hash, now: Duration) -> Result<Standing, Duration> {
        let hash = self.hash(key);
        let mut row = self.row(hash);
        let place = place_of(&mut row, hash);
        let wait = quota.wait(place.due, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        place.due = quota.after(place.due, now, 1);
        Ok(quota.standing(place.due, now))
    }

    /// Takes one back that was spent from the quota of a key.
    pub fn give_back(&self, quota: Quota, key: impl Hash) {
        let hash = self.hash(key);
        let mut row = self.row(hash);
        if let Some(place) = row.iter_mut().find(|place| place.key == hash) {
            place.due = place.due.saturating_sub(quota.window() / quota.burst());
        }
    }

    fn hash(&self, key: impl Hash) -> u64 {
        // Zero marks an empty place.
        self.hasher.hash_one(key).max(1)
    }

    fn row(&self, hash: u64) -> MutexGuard<'_, Row> {
        let index = usize::try_from(hash >> 16).unwrap_or_default();
        let block = self.blocks[(index / ROWS) % self.blocks.len()]
            .get_or_init(|| Box::new(std::array::from_fn(|_| Mutex::default())));
        block[index % ROWS].lock()
    }
}

/// The place of a key, which may be taken from another one.
fn place_of(row: &mut Row, hash: u64) -> &mut Place {
    let known = row.iter().position(|place| place.key == hash);
    let index = known.unwrap_or_else(|| {
        let least = row.iter().enumerate().min_by_key(|(_, place)| place.due);
        least.map_or(0, |(index, _)| index)
    });
    let place = &mut row[index];
    if known.is_none() {
        *place = Place { key: hash, due: Duration::ZERO };
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(burst: u32) -> Quota {
        Quota::new(1, Duration::from_secs(1), burst)
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_counted_apart_and_earn_again() {
        let spending = Spending::new(100);
        for key in ["ann", "bob"] {
            for left in [1, 0] {
                assert_eq!(spending.spend(&[(quota(2), key)]).unwrap()[0].remaining, left);
            }
            let refused = spending.spend(&[(quota(2), key)]).unwrap_err();
            assert_eq!(refused, Refused { index: 0, wait: Duration::from_secs(1) });
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(spending.spend(&[(quota(2), "ann")]).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_limit_refuses_costs_nothing_in_the_others() {
        let spending = Spending::new(100);
        let limits = [(quota(5), "wide"), (quota(1), "narrow")];
        assert!(spending.spend(&limits).is_ok());
        for _ in 0..20 {
            assert_eq!(spending.spend(&limits).unwrap_err().index, 1);
        }
        assert_eq!(spending.standing(quota(5), "wide").remaining, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_keys_takes_no_memory_and_frees_nobody_who_is_in_debt() {
        let spending = Spending::new(10_000);
        let size = spending.blocks.len();
        let debtors: Vec<String> = (0..100).map(|number| format!("debtor {number}")).collect();
        let quota = Quota::new(1, Duration::from_secs(60), 5);
        for debtor in &debtors {
            for _ in 0..5 {
                spending.spend(&[(quota, debtor.as_str())]).unwrap();
            }
        }
        for number in 0..1_000_000_u32 {
            spending.spend(&[(quota, number)]).unwrap();
        }
        assert_eq!(spending.blocks.len(), size);
        for debtor in &debtors {
            assert!(spending.spend(&[(quota, debtor.as_str())]).is_err(), "{debtor}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn spending_ahead_says_when_it_is_due() {
        let spending = Spending::new(100);
        let before = spending.spend_ahead(quota(1), "ann", 10);
        assert_eq!(before, Duration::ZERO);
        assert_eq!(spending.spend_ahead(quota(1), "ann", 1), Duration::from_secs(10));
    }
}
