//! Counts failures in a row for each account: for all strangers together, and for each familiar address.

use std::fmt::Write as _;

use database::{Database, DatabaseError, Value};

use super::{address_rate_limit, counter_keys::Attempt};
use crate::domain::FREE_ATTEMPTS;

/// The first wait after a failure, in microseconds. Each further failure doubles it.
const FIRST_WAIT: i64 = 1_000_000;
/// The longest wait after a failure, in microseconds.
const LONGEST_WAIT: i64 = 15 * 60 * 1_000_000;
/// After this many failures in a row the password is not accepted any more (NIST SP 800-63B-4, section 3.2.2). From
/// an unfamiliar address the account is locked until somebody logs in from a familiar one, or the password is reset.
/// Within sessions it is locked until somebody logs in.
pub(super) const MOST_FAILURES: u64 = 100;
/// The wait that is reported while a password is locked, in microseconds.
const WAIT_OF_THE_LOCKED: i64 = 24 * 3_600 * 1_000_000;
/// How long a repeated use of a familiar address is not recorded, in microseconds.
const REMEMBER_AGAIN: i64 = 24 * 3_600 * 1_000_000;
/// The most familiar addresses of one account: those that were used last.
const FAMILIAR_ADDRESSES: u64 = 20;

const LOOK_UP: &str = "SELECT 'familiar' AS counter, used_at AS instant, days AS number \
         FROM familiar_addresses WHERE account = $1 AND address = $2 \
     UNION ALL SELECT key, blocked_until, failures FROM authentication_failures WHERE key >= $1 AND key < $1 || '.' \
     UNION ALL SELECT 'all sessions', blocked_until, failures FROM authentication_failures WHERE key = $3 \
     UNION ALL SELECT 'address', full_at, 0 FROM address_allowances WHERE key = $2";
const FAILURES: &str = "SELECT failures FROM authentication_failures WHERE key = $1";
/// Deletes all failures of an account: under its key, which is hexadecimal, and under keys that go on with a hyphen. The
/// full stop is the next character after the hyphen, and a range of keys is found in the index.
const FORGET_ALL: &str = "DELETE FROM authentication_failures WHERE key >= $1 AND key < $1 || '.'";
/// $4 is 1 for a login and 0 for a registration. A use after $5 was on the same day, so that several logins at once
/// count as one.
const REMEMBER: &str = "INSERT INTO familiar_addresses (account, address, used_at, days) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (account, address) DO UPDATE \
         SET used_at = excluded.used_at, days = familiar_addresses.days + excluded.days \
     WHERE familiar_addresses.days = 0 OR familiar_addresses.used_at <= $5";
const FORGET_OLD_ADDRESSES: &str = "DELETE FROM familiar_addresses WHERE account = $1 AND address NOT IN \
     (SELECT address FROM familiar_addresses WHERE account = $1 ORDER BY used_at DESC, address LIMIT $2)";

/// For an account, and for its sessions, which earlier releases stored as well.
const FORGET_FAMILIAR: &str = "DELETE FROM familiar_addresses WHERE account >= $1 AND account < $1 || '.'";
const FORGET_OTHER_ADDRESSES: &str = "DELETE FROM familiar_addresses WHERE account = $1 AND address <> $2";

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

/// The counters before an attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Whether the attempt is made within a session.
    in_session: bool,
    /// When a login from its address was last recorded, and on how many days; `None` if the address is not familiar.
    familiar_since: Option<(i64, u64)>,
    /// The counter of all strangers, or of the session.
    strangers: Counter,
    familiar: Counter,
    /// Whether there were failures from other familiar addresses.
    failed_elsewhere: bool,
    /// The failures of all sessions of the person together, for an attempt within one.
    in_all_sessions: u64,
    /// When the address's allowance of failures will be whole.
    allowance_full_at: i64,
}

impl Standing {
    pub(super) async fn look_up(operations: &Database, attempt: &Attempt) -> Result<Self, DatabaseError> {
        let values: [Value; 3] = [
            attempt.account.as_str().into(),
            attempt.address.as_str().into(),
            // An empty key has no counter.
            attempt.all_sessions.as_deref().unwrap_or_default().into(),
        ];
        let mut standing = Self {
            in_session: attempt.all_sessions.is_some(),
            ..Self::default()
        };
        for row in operations.fetch_all(LOOK_UP, &values).await? {
            let instant = row.integer("instant")?;
            let number = row.unsigned("number")?;
            let counter = Counter {
                failures: number,
                blocked_until: instant,
            };
            match row.str("counter")? {
                "familiar" => standing.familiar_since = Some((instant, number)),
                "all sessions" => standing.in_all_sessions = counter.failures,
                "address" => standing.allowance_full_at = instant,
                key if key == attempt.account => standing.strangers = counter,
                key if key == attempt.account_from_address => standing.familiar = counter,
                _ => standing.failed_elsewhere = true,
            }
        }
        Ok(standing)
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
        if self.is_counted_by_address() {
            &attempt.account_from_address
        } else {
            &attempt.account
        }
    }

    /// Whether there are failures that a success clears.
    const fn has_failures(&self) -> bool {
        let failures = self.strangers.failures + self.familiar.failures + self.in_all_sessions;
        failures > 0 || self.failed_elsewhere
    }

    fn counter(&self) -> Counter {
        if self.is_counted_by_address() {
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

/// The statement that counts a failure: $1 is the key, $2 the time.
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

/// Deletes all failures of the account of `attempt`, and every familiar address but `kept`.
pub(super) async fn forget(
    operations: &Database,
    attempt: &Attempt,
    kept: Option<&str>,
) -> Result<(), DatabaseError> {
    let account = || attempt.account.as_str().into();
    operations.execute(FORGET_ALL, &[account()]).await?;
    // Recorded addresses are never empty.
    let others = [account(), kept.unwrap_or_default().into()];
    operations
        .execute(FORGET_OTHER_ADDRESSES, &others)
        .await
        .map(drop)
}

/// Deletes the failures of a person's sessions, under `key` and keys that begin with it.
pub(super) async fn forgive_sessions(operations: &Database, key: &str) -> Result<(), DatabaseError> {
    // Usually there are none, and a read does not wait for locks.
    if operations
        .fetch_optional(FAILURES, &[key.into()])
        .await?
        .is_some()
    {
        operations.execute(FORGET_ALL, &[key.into()]).await?;
    }
    Ok(())
}

/// Deletes everything under `key`, and under keys that begin with it.
pub(super) async fn erase(operations: &Database, key: &str) -> Result<(), DatabaseError> {
    for sql in [FORGET_ALL, FORGET_FAMILIAR] {
        operations.execute(sql, &[key.into()]).await?;
    }
    Ok(())
}

/// Clears all failures of the account, because the password was shown.
pub(super) async fn keep_success(
    operations: &Database,
    attempt: &Attempt,
    standing: &Standing,
    now: i64,
) -> Result<(), DatabaseError> {
    let failed = attempt.all_sessions.as_ref().unwrap_or(&attempt.account);
    if standing.has_failures() {
        operations.execute(FORGET_ALL, &[failed.as_str().into()]).await?;
    }
    let is_written_down = standing
        .familiar_since
        .is_some_and(|(since, days)| days > 0 && now - since < REMEMBER_AGAIN);
    if standing.in_session || is_written_down {
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
    let values = [
        account.into(),
        address.into(),
        now.into(),
        days.into(),
        (now - REMEMBER_AGAIN).into(),
    ];
    operations.execute(REMEMBER, &values).await?;
    operations
        .execute(FORGET_OLD_ADDRESSES, &[account.into(), FAMILIAR_ADDRESSES.into()])
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use database::Schema;
    use http_api::RequestContext;
    use test_support::TestDatabase;

    use super::*;
    use crate::keys::Pepper;

    async fn sqlite(directory: &tempfile::TempDir) -> Database {
        let url = Database::file_url(&directory.path().join("operations.db"));
        Database::open(&url, Schema::Operations, 1).await.unwrap()
    }

    /// Keys that begin with `aa` and a hyphen go with it, and no others.
    async fn a_key_is_erased_with_those_below_it(operations: &Database) {
        let keys = ["a9-bb", "aa", "aa-00", "aa-ff", "aa0", "aab-00", "ab"];
        for key in keys {
            for sql in [
                "INSERT INTO authentication_failures VALUES ($1, 1, 0, 0)",
                "INSERT INTO familiar_addresses (account, address, used_at) VALUES ($1, 'address', 0)",
            ] {
                operations.execute(sql, &[key.into()]).await.unwrap();
            }
        }
        erase(operations, "aa").await.unwrap();
        for sql in [
            "SELECT key FROM authentication_failures ORDER BY key",
            "SELECT account AS key FROM familiar_addresses ORDER BY account",
        ] {
            let rows = operations.fetch_all(sql, &[]).await.unwrap();
            let left: Vec<_> = rows.iter().map(|row| row.text("key").unwrap()).collect();
            assert_eq!(left, ["a9-bb", "aa0", "aab-00", "ab"]);
        }
    }

    #[tokio::test]
    async fn keys_are_erased_by_a_range_of_the_index() {
        let directory = tempfile::tempdir().unwrap();
        let operations = sqlite(&directory).await;
        a_key_is_erased_with_those_below_it(&operations).await;
        for sql in [FORGET_ALL, FORGET_FAMILIAR] {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let rows = operations.fetch_all(&explain, &["aa".into()]).await.unwrap();
            let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
            assert!(plan.len() == 1 && plan[0].starts_with("SEARCH"), "{plan:?}");
        }
    }

    #[tokio::test]
    async fn keys_are_erased_by_a_range_of_the_index_in_postgres() {
        let server = TestDatabase::create().await;
        let operations = Database::open(server.url().as_str(), Schema::Operations, 1)
            .await
            .unwrap();
        a_key_is_erased_with_those_below_it(&operations).await;
        let mut tx = operations.begin().await.unwrap();
        // The tables are small, and statements are planned without knowing their parameters.
        for setting in ["enable_seqscan = off", "plan_cache_mode = force_generic_plan"] {
            tx.execute(&format!("SET LOCAL {setting}"), &[]).await.unwrap();
        }
        for (name, sql) in [("failures", FORGET_ALL), ("addresses", FORGET_FAMILIAR)] {
            let prepare = format!("PREPARE {name} (TEXT) AS {sql}");
            tx.execute(&prepare, &[]).await.unwrap();
            let explain = format!("EXPLAIN EXECUTE {name} ('aa')");
            let rows = tx.fetch_all(&explain, &[]).await.unwrap();
            let plan: Vec<_> = rows.iter().map(|row| row.text("QUERY PLAN").unwrap()).collect();
            let plan = plan.join("\n");
            assert!(
                plan.contains("Index Cond") && !plan.contains("Seq Scan"),
                "{plan}"
            );
        }
    }

    #[tokio::test]
    async fn a_success_without_failures_before_it_asks_and_writes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let operations = sqlite(&directory).await;
        for table in ["authentication_failures", "familiar_addresses"] {
            let drop = format!("DROP TABLE {table}");
            operations.execute(&drop, &[]).await.unwrap();
        }
        let pepper = Pepper::parse(&"ab".repeat(32)).unwrap();
        let context = RequestContext {
            request_id: "request".into(),
            traceparent: None,
            client_ip: Some("192.0.2.1".into()),
            user_agent: None,
        };
        let attempt = Attempt::new(&pepper, "login", "ada", &context);
        let standing = Standing {
            familiar_since: Some((0, 1)),
            ..Standing::default()
        };
        keep_success(&operations, &attempt, &standing, 1).await.unwrap();
    }

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
