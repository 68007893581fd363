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
pub(super) const REGISTRATIONS: Allowance =
    Allowance { prefix: "registrations-", micros_for_one: 1_000_000, burst: 5_000 };

/// Counts one use: $1 is the key, $2 the time after which a new address has its whole allowance, $3 the present time,
/// $4 the time for one use. Does nothing if the whole allowance is there only after $5.
const COUNT_USE: &str = "INSERT INTO address_allowances (key, full_at) VALUES ($1, $2) \
     ON CONFLICT (key) DO UPDATE SET full_at = \
         CASE WHEN address_allowances.full_at > $3 THEN address_allowances.full_at + $4 ELSE $2 END \
     WHERE address_allowances.full_at <= $5";

/// Lets a whole allowance be there again at $2 that would be later.
const SHORTEN_WAIT: &str = "UPDATE address_allowances SET full_at = $2 WHERE key = $1 AND full_at > $2";
/// Selects what is too late at $2.
const SELECT_TOO_LATE: &str = "SELECT full_at FROM address_allowances WHERE key = $1 AND full_at > $2";
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
/// clock is behind would end waits that are right. A wait that is over by one of them is over there, too.
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
    const fn latest(&self, now: i64) -> i64 {
        now + self.burst * self.micros_for_one + MAX_WAIT
    }

    /// Whether a wait is longer by `now` than any wait can be.
    pub(super) const fn is_too_late(&self, full_at: i64, now: i64) -> bool {
        full_at > self.latest(now)
    }

    /// Shortens a wait that is longer by `now`, the later of two clocks, than any wait can be.
    pub(super) async fn shorten_wait(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
    ) -> Result<(), DatabaseError> {
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

    /// Counts a use if one is left, and returns whether there was one: by the later of `now` and the time of the
    /// database, if none would be left by `now` for longer than that can be.
    pub(super) async fn count_if_left(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
    ) -> Result<bool, DatabaseError> {
        let latest = |now: i64| now + (self.burst - 1) * self.micros_for_one;
        let use_by = |now: i64| self.run(operations, address, now, latest(now));
        if use_by(now).await? {
            return Ok(true);
        }
        let values = [self.key(address), self.latest(now).into()];
        let too_late = operations.fetch_optional(SELECT_TOO_LATE, &values).await?;
        if too_late.is_none() {
            return Ok(false);
        }
        let now = later_now(operations, now).await?;
        self.shorten_wait(operations, address, now).await?;
        use_by(now).await
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
