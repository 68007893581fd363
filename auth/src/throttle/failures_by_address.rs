//! Limits the failed logins and the registrations of each client address over all accounts, with the generic cell rate
//! algorithm (ITU-T I.371). The gateway limits requests as such, in memory (`gateway/src/limits/`). The limits here
//! survive a restart and are shared by all replicas, so the one SQL statement that checks them also counts.

use database::{Database, DatabaseError, Value};

/// The allowance of failed attempts: a hundred at once, then ten a minute. Many people can share an address.
pub(super) const FAILURES: Allowance = Allowance {
    // `failures_by_account.rs` reads it together with the counters of the account.
    prefix: "",
    micros_for_one: 6_000_000,
    burst: 100,
};
/// The allowance of registrations: five thousand at once, then one a second.
pub(super) const REGISTRATIONS: Allowance = Allowance {
    prefix: "registrations-",
    micros_for_one: 1_000_000,
    burst: 5_000,
};

/// Counts one use: $1 is the key, $2 the time after which a new address has its whole allowance, $3 the present time,
/// $4 the time for one use. Does nothing if the whole allowance is there only after $5.
const COUNT_USE: &str = "INSERT INTO address_allowances (key, full_at) VALUES ($1, $2) \
     ON CONFLICT (key) DO UPDATE SET full_at = \
         CASE WHEN address_allowances.full_at > $3 THEN address_allowances.full_at + $4 ELSE $2 END \
     WHERE address_allowances.full_at <= $5";

/// Lets a whole allowance be there again at $2 that would be later.
const SHORTEN_WAIT: &str = "UPDATE address_allowances SET full_at = $2 WHERE key = $1 AND full_at > $2";
/// The longest wait, in microseconds.
const MAX_WAIT: i64 = 15 * 60 * 1_000_000;

/// The number of uses at once, and the time for each further one.
#[derive(Debug)]
pub(super) struct Allowance {
    pub(super) prefix: &'static str,
    pub(super) micros_for_one: i64,
    pub(super) burst: i64,
}

/// The later of `now` and the time of the database. A wait is shortened only if it is too long by both: a process whose
/// clock is behind would end waits that are right.
pub(super) async fn later_now(operations: &Database, now: i64) -> Result<i64, DatabaseError> {
    Ok(now.max(operations.now().await?))
}

impl Allowance {
    /// The wait in microseconds when the whole allowance is there again at `full_at`; not above 0 when a use is left.
    pub(super) fn wait(&self, full_at: i64, now: i64) -> i64 {
        full_at.min(self.latest(now)) - now - self.burst * self.micros_for_one
    }

    /// The latest time at which the whole allowance can be there again. A process whose clock is ahead may have stored
    /// a later one.
    pub(super) const fn latest(&self, now: i64) -> i64 {
        now + self.burst * self.micros_for_one + MAX_WAIT
    }

    /// Shortens a wait that is longer than any wait can be.
    pub(super) async fn shorten_wait(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
    ) -> Result<(), DatabaseError> {
        let now = later_now(operations, now).await?;
        let values = [self.key(address), self.latest(now).into()];
        operations.execute(SHORTEN_WAIT, &values).await.map(drop)
    }

    /// Counts a use, even if none is left.
    pub(super) async fn count(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
    ) -> Result<(), DatabaseError> {
        self.run(operations, address, now, i64::MAX).await.map(drop)
    }

    /// Counts a use if one is left, and returns whether there was one.
    pub(super) async fn count_if_left(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
    ) -> Result<bool, DatabaseError> {
        let latest = now + (self.burst - 1) * self.micros_for_one;
        let has_used = self.run(operations, address, now, latest).await?;
        if !has_used {
            self.shorten_wait(operations, address, now).await?;
        }
        Ok(has_used)
    }

    fn key(&self, address: &str) -> Value {
        format!("{}{address}", self.prefix).into()
    }

    async fn run(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
        latest: i64,
    ) -> Result<bool, DatabaseError> {
        let values = [
            self.key(address),
            (now + self.micros_for_one).into(),
            now.into(),
            self.micros_for_one.into(),
            latest.into(),
        ];
        Ok(operations.execute(COUNT_USE, &values).await? == 1)
    }
}
