//! Failures in a row for each account: as strangers try it together, and as each familiar address does.

use std::fmt::Write as _;

use database::{Database, DatabaseError, Value};

use super::{address_rate_limit, counter_keys::Attempt};
use crate::domain::FREE_ATTEMPTS;

/// The wait after the first failure that costs time, in microseconds. It doubles with each further one.
const FIRST_WAIT: i64 = 1_000_000;
/// The longest wait after a failure, in microseconds.
const LONGEST_WAIT: i64 = 15 * 60 * 1_000_000;
/// NIST SP 800-63B-4, section 3.2.2: after so many failures in a row a password proves nothing any more. From an address that
/// is not familiar the account cannot be entered before somebody did from one that is, or the password was reset. From within
/// sessions it cannot be shown, in whichever of them, before somebody has logged in with it.
pub(super) const MOST_FAILURES: u64 = 100;
/// The wait that is named once a password proves nothing any more, in microseconds.
const WAIT_OF_THE_LOCKED: i64 = 24 * 3_600 * 1_000_000;
/// How long a familiar address that is used again is not written down again, in microseconds.
const REMEMBER_AGAIN: i64 = 24 * 3_600 * 1_000_000;
/// The most familiar addresses that are kept of one account: those that were used last.
const FAMILIAR_ADDRESSES: u64 = 20;

const LOOK_UP: &str = "SELECT 'familiar' AS counter, used_at AS instant, CAST(0 AS BIGINT) AS failures \
         FROM familiar_addresses WHERE account = $1 AND address = $2 \
     UNION ALL SELECT 'account', blocked_until, failures FROM authentication_failures WHERE key = $1 \
     UNION ALL SELECT 'account from address', blocked_until, failures FROM authentication_failures WHERE key = $3 \
     UNION ALL SELECT 'all sessions', blocked_until, failures FROM authentication_failures WHERE key = $4 \
     UNION ALL SELECT 'address', full_at, 0 FROM address_allowances WHERE key = $2";
const FAILURES: &str = "SELECT failures FROM authentication_failures WHERE key = $1";
const FORGET: &str = "DELETE FROM authentication_failures WHERE key IN ($1, $2)";
/// Everybody's failures at an account. Keys are hexadecimal, so that nothing in them is a pattern.
const FORGET_ALL: &str = "DELETE FROM authentication_failures WHERE key = $1 OR key LIKE $1 || '-%'";
const REMEMBER: &str = "INSERT INTO familiar_addresses (account, address, used_at) VALUES ($1, $2, $3) \
     ON CONFLICT (account, address) DO UPDATE SET used_at = excluded.used_at";
const FORGET_OLD_ADDRESSES: &str = "DELETE FROM familiar_addresses WHERE account = $1 AND address NOT IN \
     (SELECT address FROM familiar_addresses WHERE account = $1 ORDER BY used_at DESC, address LIMIT $2)";

/// Where from the account was entered, and where from its sessions proved the password again.
const FORGET_FAMILIAR: &str = "DELETE FROM familiar_addresses WHERE account = $1 OR account LIKE $1 || '-%'";

/// One row of failures.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    failures: u64,
    blocked_until: i64,
}

impl Counter {
    fn wait(self, now: i64) -> i64 {
        if self.failures >= MOST_FAILURES {
            return WAIT_OF_THE_LOCKED;
        }
        self.blocked_until - now
    }
}

/// What is known of an attempt before it is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// When its address was last written down as one from which somebody logged in to the account.
    familiar_since: Option<i64>,
    strangers: Counter,
    familiar: Counter,
    /// How often all sessions of the person failed together, for an attempt from within one.
    in_all_sessions: u64,
    /// When the address's allowance of failures will be whole.
    allowance_full_at: i64,
}

impl Standing {
    pub(super) async fn look_up(operations: &Database, attempt: &Attempt) -> Result<Self, DatabaseError> {
        let values: [Value; 4] = [
            attempt.account.as_str().into(),
            attempt.address.as_str().into(),
            attempt.account_from_address.as_str().into(),
            // Nothing is counted under no key.
            attempt.all_sessions.as_deref().unwrap_or_default().into(),
        ];
        let mut standing = Self::default();
        for row in operations.fetch_all(LOOK_UP, &values).await? {
            let instant = row.integer("instant")?;
            let counter = Counter {
                failures: row.unsigned("failures")?,
                blocked_until: instant,
            };
            match row.str("counter")? {
                "familiar" => standing.familiar_since = Some(instant),
                "account" => standing.strangers = counter,
                "account from address" => standing.familiar = counter,
                "all sessions" => standing.in_all_sessions = counter.failures,
                _ => standing.allowance_full_at = instant,
            }
        }
        Ok(standing)
    }

    /// Whether somebody logged in to the account from this address before.
    pub(crate) fn is_familiar(&self) -> bool {
        self.familiar_since.is_some()
    }

    /// Failures in a row before this attempt, of those that count for it.
    pub(crate) fn failures(&self) -> u64 {
        self.counter().failures
    }

    /// Under which key a failure of `attempt` is counted.
    pub(crate) fn counted_under<'a>(&self, attempt: &'a Attempt) -> &'a str {
        if self.is_familiar() {
            &attempt.account_from_address
        } else {
            &attempt.account
        }
    }

    fn counter(&self) -> Counter {
        if self.is_familiar() {
            self.familiar
        } else {
            self.strangers
        }
    }

    /// How long the attempt must wait, in microseconds.
    pub(super) fn wait(&self, now: i64) -> i64 {
        let mut wait = self.counter().wait(now);
        if self.in_all_sessions >= MOST_FAILURES {
            wait = WAIT_OF_THE_LOCKED;
        }
        if !self.is_familiar() {
            wait = wait.max(address_rate_limit::FAILURES.wait(self.allowance_full_at, now));
        }
        wait.max(0)
    }
}

/// The statement that counts a failure: $1 key, $2 now.
pub(super) fn count_failure() -> String {
    let mut waits = format!(
        "CASE WHEN authentication_failures.failures < {} THEN 0",
        FREE_ATTEMPTS - 1
    );
    let (mut wait, mut failures) = (FIRST_WAIT, FREE_ATTEMPTS - 1);
    while wait < LONGEST_WAIT {
        // Writing to a string does not fail.
        let _ = write!(
            waits,
            " WHEN authentication_failures.failures = {failures} THEN {wait}"
        );
        wait *= 2;
        failures += 1;
    }
    format!(
        "INSERT INTO authentication_failures (key, failures, blocked_until, updated_at) VALUES ($1, 1, 0, $2) \
         ON CONFLICT (key) DO UPDATE SET failures = authentication_failures.failures + 1, \
             blocked_until = $2 + {waits} ELSE {LONGEST_WAIT} END, updated_at = $2"
    )
}

pub(super) async fn add_failure(
    operations: &Database,
    statement: &str,
    attempt: &Attempt,
    standing: &Standing,
    now: i64,
) -> Result<(), DatabaseError> {
    let keys = [standing.counted_under(attempt)];
    for key in keys.into_iter().chain(attempt.all_sessions.as_deref()) {
        operations.execute(statement, &[key.into(), now.into()]).await?;
    }
    Ok(())
}

/// Forgets all failures at the account of `attempt`, wherever they came from.
pub(super) async fn forget(operations: &Database, attempt: &Attempt) -> Result<(), DatabaseError> {
    let key = [attempt.account.as_str().into()];
    operations.execute(FORGET_ALL, &key).await.map(drop)
}

/// Forgets what the sessions of a person failed at together, which is counted under `key`.
pub(super) async fn forgive_sessions(operations: &Database, key: &str) -> Result<(), DatabaseError> {
    // Nearly always there is nothing, and reading waits for nobody.
    if operations
        .fetch_optional(FAILURES, &[key.into()])
        .await?
        .is_some()
    {
        operations.execute(FORGET, &[key.into(), key.into()]).await?;
    }
    Ok(())
}

/// Deletes everything that is kept under `key`, and under keys that begin with it.
pub(super) async fn erase(operations: &Database, key: &str) -> Result<(), DatabaseError> {
    for sql in [FORGET_ALL, FORGET_FAMILIAR] {
        operations.execute(sql, &[key.into()]).await?;
    }
    Ok(())
}

pub(super) async fn keep_success(
    operations: &Database,
    attempt: &Attempt,
    standing: &Standing,
    now: i64,
) -> Result<(), DatabaseError> {
    if standing.strangers.failures + standing.familiar.failures > 0 {
        let keys = [
            attempt.account.as_str().into(),
            attempt.account_from_address.as_str().into(),
        ];
        operations.execute(FORGET, &keys).await?;
    }
    if let Some(key) = attempt
        .all_sessions
        .as_deref()
        .filter(|_| standing.in_all_sessions > 0)
    {
        operations.execute(FORGET, &[key.into(), key.into()]).await?;
    }
    let is_written_down = standing
        .familiar_since
        .is_some_and(|since| now - since < REMEMBER_AGAIN);
    if is_written_down || !attempt.has_address() {
        return Ok(());
    }
    let (account, address) = (attempt.account.as_str(), attempt.address.as_str());
    operations
        .execute(REMEMBER, &[account.into(), address.into(), now.into()])
        .await?;
    operations
        .execute(FORGET_OLD_ADDRESSES, &[account.into(), FAMILIAR_ADDRESSES.into()])
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_up_to_a_quarter_of_an_hour() {
        let statement = count_failure();
        for part in [
            "failures < 4 THEN 0 ",
            "failures = 4 THEN 1000000 ",
            "failures = 5 THEN 2000000 ",
            "failures = 13 THEN 512000000 ELSE 900000000",
        ] {
            assert!(statement.contains(part), "{part}: {statement}");
        }
    }
}
