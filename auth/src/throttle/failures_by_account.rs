//! Counts the failures in a row of each account: of all strangers together, and of each familiar address.

use std::fmt::Write as _;

use database::{Database, DatabaseError, Dialect, Value, readable};

use super::{
    attempt::Attempt,
    failures_by_address::{self, later_now},
};
use crate::domain::FREE_ATTEMPTS;

/// The first wait after a failure, in microseconds. Each further failure doubles the wait.
const FIRST_WAIT: i64 = 1_000_000;
/// The longest wait after a failure, in microseconds.
const MAX_WAIT: i64 = 15 * 60 * 1_000_000;
/// After this many failures in a row the password is not accepted any more (NIST SP 800-63B-4, section 3.2.2). From
/// an unfamiliar address the account is locked until somebody logs in from a familiar one, or the password is reset.
/// Within sessions it is locked until somebody logs in.
pub(super) const MAX_FAILURES: u64 = 100;
/// The wait that is reported while a password is locked, in microseconds.
const LOCKED_WAIT: i64 = 24 * 3_600 * 1_000_000;
/// After a login from a familiar address was recorded, the next ones are not recorded for this long, in microseconds.
const RECORDING_INTERVAL: i64 = 24 * 3_600 * 1_000_000;
/// The most familiar addresses of one account. Those that were used last are kept.
const MAX_FAMILIAR_ADDRESSES: u64 = 20;

/// Selects the counters for an attempt: $1 is the key of the account, $2 of the address, $3 of all sessions.
const SELECT_COUNTERS: &str = "SELECT 'familiar' AS counter, used_at AS instant, days AS number \
         FROM familiar_addresses WHERE account = $1 AND address = $2 \
     UNION ALL SELECT key, blocked_until, failures FROM authentication_failures WHERE key >= $1 AND key < $1 || '.' \
     UNION ALL SELECT 'all sessions', blocked_until, failures FROM authentication_failures WHERE key = $3 \
     UNION ALL SELECT 'address', full_at, 0 FROM address_allowances WHERE key = $2";
const SELECT_FAILURES: &str = "SELECT failures FROM authentication_failures WHERE key = $1";
/// Deletes all failures of an account: under its hexadecimal key, and under keys that continue with a hyphen. The
/// full stop is the next character after the hyphen, so the keys are a range of the index.
const DELETE_FAILURES: &str = "DELETE FROM authentication_failures WHERE key >= $1 AND key < $1 || '.'";
/// Ends a wait at $2 that would end later.
const SHORTEN_WAIT: &str =
    "UPDATE authentication_failures SET blocked_until = $2 WHERE key = $1 AND blocked_until > $2";
/// Records a familiar address. $4 is 1 for a login and 0 for a registration. A use after $5 was on the same day, so
/// several logins at once count as one.
const RECORD_ADDRESS: &str = "INSERT INTO familiar_addresses (account, address, used_at, days) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (account, address) DO UPDATE \
         SET used_at = excluded.used_at, days = familiar_addresses.days + excluded.days \
     WHERE familiar_addresses.days = 0 OR familiar_addresses.used_at <= $5";
const DELETE_OLD_ADDRESSES: &str = "DELETE FROM familiar_addresses WHERE account = $1 AND address NOT IN \
     (SELECT address FROM familiar_addresses WHERE account = $1 ORDER BY used_at DESC, address LIMIT $2)";
/// Deletes the familiar addresses of an account, and of its sessions, which earlier releases stored as well.
const DELETE_ADDRESSES: &str = "DELETE FROM familiar_addresses WHERE account >= $1 AND account < $1 || '.'";
const DELETE_OTHER_ADDRESSES: &str = "DELETE FROM familiar_addresses WHERE account = $1 AND address <> $2";

/// One row of failures.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    failures: u64,
    blocked_until: i64,
}

impl Counter {
    fn wait(self, now: i64) -> i64 {
        if self.failures >= MAX_FAILURES {
            return LOCKED_WAIT;
        }
        (self.blocked_until - now).min(MAX_WAIT)
    }
}

/// The counters before an attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailureCounters {
    /// Whether the attempt is made within a session.
    in_session: bool,
    /// The time of the last recorded login from the address, and the number of days with one; `None` if the address is
    /// not familiar.
    familiar_since: Option<(i64, u64)>,
    /// The counter of all strangers, or of the session.
    strangers: Counter,
    familiar: Counter,
    /// Whether there were failures from other familiar addresses.
    failed_elsewhere: bool,
    /// The failures of all sessions of the person together, for an attempt within one.
    in_all_sessions: u64,
    /// The time at which the address has its whole allowance of failures again.
    allowance_full_at: i64,
    /// The time at which a failure of the attempt is counted at the earliest: see [`Self::measure_wait`].
    pub(super) not_before: i64,
}

impl FailureCounters {
    pub(super) async fn load(operations: &Database, attempt: &Attempt) -> Result<Self, DatabaseError> {
        let values: [Value; 3] = [
            attempt.account.as_str().into(),
            attempt.address.as_str().into(),
            // An empty key has no counter.
            attempt.all_sessions.as_deref().unwrap_or_default().into(),
        ];
        let mut counters = Self { in_session: attempt.all_sessions.is_some(), ..Self::default() };
        let rows = operations.fetch_all(SELECT_COUNTERS, &values).await?;
        // What cannot be read counts as absent: an address is a stranger's, and failures are counted from zero.
        let read = readable("authentication_failures and others", "counter", &rows, |row| {
            Ok((row.text("counter")?, row.integer("instant")?, row.unsigned("number")?))
        });
        for (counter_of, instant, number) in read {
            let counter = Counter { failures: number, blocked_until: instant };
            match counter_of.as_str() {
                "familiar" => counters.familiar_since = Some((instant, number)),
                "all sessions" => counters.in_all_sessions = counter.failures,
                "address" => counters.allowance_full_at = instant,
                key if key == attempt.account => counters.strangers = counter,
                key if key == attempt.account_from_address => counters.familiar = counter,
                _ => counters.failed_elsewhere = true,
            }
        }
        Ok(counters)
    }

    /// Whether the client has proved something already: a session, or an address from which somebody logged in
    /// before.
    pub(crate) fn is_familiar(&self) -> bool {
        self.in_session || self.familiar_since.is_some()
    }

    /// A session has one counter for all addresses, so that a thief gains nothing by using many.
    fn is_counted_by_address(&self) -> bool {
        !self.in_session && self.familiar_since.is_some()
    }

    /// The failures in a row before this attempt that count for it.
    pub(crate) fn failures(&self) -> u64 {
        self.counter().failures
    }

    /// The key under which a failure of `attempt` is counted.
    pub(crate) fn counted_under<'a>(&self, attempt: &'a Attempt) -> &'a str {
        if self.is_counted_by_address() { &attempt.account_from_address } else { &attempt.account }
    }

    /// Whether there are failures that a success clears.
    const fn has_failures(&self) -> bool {
        let failures = self.strangers.failures + self.familiar.failures + self.in_all_sessions;
        failures > 0 || self.failed_elsewhere
    }

    fn counter(&self) -> Counter {
        if self.is_counted_by_address() { self.familiar } else { self.strangers }
    }

    /// How long the attempt must wait at `now`, in microseconds.
    fn wait(&self, now: i64) -> i64 {
        let mut wait = self.counter().wait(now);
        if self.in_all_sessions >= MAX_FAILURES {
            wait = LOCKED_WAIT;
        }
        if !self.is_familiar() {
            wait = wait.max(failures_by_address::FAILURES.wait(self.allowance_full_at, now));
        }
        wait.max(0)
    }

    /// Whether a failure of `attempt` also uses the allowance of its address.
    pub(super) fn uses_allowance(&self, attempt: &Attempt) -> bool {
        !self.is_familiar() && attempt.has_address()
    }

    /// How long the attempt must wait, in microseconds: by `now`, unless that is longer than any wait can be. Then the
    /// clock of the process that counted is ahead, or that of this process is behind, and people would have to wait
    /// for as long as it is. The later of `now` and the time of the database decides: it shortens the wait, and a
    /// failure of the attempt is counted by it, since a wait that began earlier would be over.
    pub(super) async fn measure_wait(
        &mut self,
        operations: &Database,
        attempt: &Attempt,
        now: i64,
    ) -> Result<i64, DatabaseError> {
        let is_too_late = self.counter().blocked_until > now + MAX_WAIT;
        let is_full_too_late = self.uses_allowance(attempt)
            && failures_by_address::FAILURES.is_too_late(self.allowance_full_at, now);
        if !is_too_late && !is_full_too_late {
            return Ok(self.wait(now));
        }
        self.not_before = later_now(operations, now).await?;
        if is_too_late {
            let latest = self.not_before + MAX_WAIT;
            let values = [self.counted_under(attempt).into(), latest.into()];
            operations.execute(SHORTEN_WAIT, &values).await?;
        }
        if is_full_too_late {
            failures_by_address::FAILURES.shorten_wait(operations, &attempt.address, self.not_before).await?;
        }
        Ok(self.wait(self.not_before))
    }
}

/// The statement that counts a failure: $1 is the key, $2 the time. A wait that would end later stays: a process whose
/// clock is behind must not end it.
pub(super) fn count_failure(dialect: Dialect) -> String {
    let mut waits = format!("CASE WHEN authentication_failures.failures < {} THEN 0", FREE_ATTEMPTS - 1);
    let (mut wait, mut failures) = (FIRST_WAIT, FREE_ATTEMPTS - 1);
    while wait < MAX_WAIT {
        // Writing to a string does not fail.
        let _ = write!(waits, " WHEN authentication_failures.failures = {failures} THEN {wait}");
        wait *= 2;
        failures += 1;
    }
    let end = format!("$2 + {waits} ELSE {MAX_WAIT} END");
    let end = dialect.larger("authentication_failures.blocked_until", &end);
    format!(
        "INSERT INTO authentication_failures (key, failures, blocked_until, updated_at) VALUES ($1, 1, 0, $2) \
         ON CONFLICT (key) DO UPDATE SET failures = authentication_failures.failures + 1, blocked_until = {end}, \
             updated_at = $2"
    )
}

pub(super) async fn add_failure(
    operations: &Database,
    statement: &str,
    attempt: &Attempt,
    counters: &FailureCounters,
    now: i64,
) -> Result<(), DatabaseError> {
    let keys = [counters.counted_under(attempt)];
    for key in keys.into_iter().chain(attempt.all_sessions.as_deref()) {
        operations.execute(statement, &[key.into(), now.into()]).await?;
    }
    Ok(())
}

/// Deletes all failures of the account of `attempt`, and every familiar address but `kept`.
pub(super) async fn forget(
    operations: &Database,
    attempt: &Attempt,
    kept: Option<&str>,
) -> Result<(), DatabaseError> {
    let account = || attempt.account.as_str().into();
    operations.execute(DELETE_FAILURES, &[account()]).await?;
    // Recorded addresses are never empty.
    let others = [account(), kept.unwrap_or_default().into()];
    operations.execute(DELETE_OTHER_ADDRESSES, &others).await.map(drop)
}

/// Deletes the failures of a person's sessions, under `key` and keys that begin with it.
pub(super) async fn forgive_sessions(operations: &Database, key: &str) -> Result<(), DatabaseError> {
    // Usually there are none, and a read does not wait for locks.
    if operations.fetch_optional(SELECT_FAILURES, &[key.into()]).await?.is_some() {
        operations.execute(DELETE_FAILURES, &[key.into()]).await?;
    }
    Ok(())
}

/// Deletes everything under `key`, and under keys that begin with it.
pub(super) async fn erase(operations: &Database, key: &str) -> Result<(), DatabaseError> {
    for sql in [DELETE_FAILURES, DELETE_ADDRESSES] {
        operations.execute(sql, &[key.into()]).await?;
    }
    Ok(())
}

/// Clears all failures of the account, because the password was shown.
pub(super) async fn keep_success(
    operations: &Database,
    attempt: &Attempt,
    counters: &FailureCounters,
    now: i64,
) -> Result<(), DatabaseError> {
    let failed = attempt.all_sessions.as_ref().unwrap_or(&attempt.account);
    if counters.has_failures() {
        operations.execute(DELETE_FAILURES, &[failed.as_str().into()]).await?;
    }
    let is_written_down =
        counters.familiar_since.is_some_and(|(since, days)| days > 0 && now - since < RECORDING_INTERVAL);
    if counters.in_session || is_written_down {
        return Ok(());
    }
    remember(operations, attempt, 1, now).await
}

/// Records that the address of `attempt` is familiar to its account, with `days` more days of logins.
pub(super) async fn remember(
    operations: &Database,
    attempt: &Attempt,
    days: u64,
    now: i64,
) -> Result<(), DatabaseError> {
    if !attempt.has_address() {
        return Ok(());
    }
    let (account, address) = (attempt.account.as_str(), attempt.address.as_str());
    let values = [account.into(), address.into(), now.into(), days.into(), (now - RECORDING_INTERVAL).into()];
    operations.execute(RECORD_ADDRESS, &values).await?;
    operations.execute(DELETE_OLD_ADDRESSES, &[account.into(), MAX_FAMILIAR_ADDRESSES.into()]).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
