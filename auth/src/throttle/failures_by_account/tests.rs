//! Tests of the counters of accounts in the database.

use std::sync::Arc;

use http_api::RequestContext;
use test_support::{Footing, TestClock, TestStorage, on_both_footings};

use super::*;
use crate::{domain::Refusal, error::CommandError, keys::Pepper, throttle::Throttle};

fn attempt(subject: &str, address: &str) -> Attempt {
    let pepper = Pepper::parse(&"ab".repeat(32)).unwrap();
    let context = RequestContext {
        request_id: "request".into(),
        traceparent: None,
        client_ip: Some(address.to_owned()),
        user_agent: None,
    };
    Attempt::new(&pepper, "login", subject, &context)
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
    let storage = TestStorage::new(Footing::Sqlite).await;
    let operations = storage.operations().await;
    a_key_is_erased_with_those_below_it(&operations).await;
    for sql in [DELETE_FAILURES, DELETE_ADDRESSES] {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = operations.fetch_all(&explain, &["aa".into()]).await.unwrap();
        let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
        assert!(plan.len() == 1 && plan[0].starts_with("SEARCH"), "{plan:?}");
    }
}

#[tokio::test]
async fn keys_are_erased_by_a_range_of_the_index_in_postgres() {
    let storage = TestStorage::new(Footing::Postgres).await;
    let operations = storage.operations().await;
    a_key_is_erased_with_those_below_it(&operations).await;
    let mut tx = operations.begin().await.unwrap();
    // The tables are small, and statements are planned without knowing their parameters.
    for setting in ["enable_seqscan = off", "plan_cache_mode = force_generic_plan"] {
        tx.execute(&format!("SET LOCAL {setting}"), &[]).await.unwrap();
    }
    for (name, sql) in [("failures", DELETE_FAILURES), ("addresses", DELETE_ADDRESSES)] {
        let prepare = format!("PREPARE {name} (TEXT) AS {sql}");
        tx.execute(&prepare, &[]).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE {name} ('aa')");
        let rows = tx.fetch_all(&explain, &[]).await.unwrap();
        let plan: Vec<_> = rows.iter().map(|row| row.text("QUERY PLAN").unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index Cond") && !plan.contains("Seq Scan"), "{plan}");
    }
}

#[tokio::test]
async fn a_success_without_failures_before_it_asks_and_writes_nothing() {
    let storage = TestStorage::new(Footing::Sqlite).await;
    let operations = storage.operations().await;
    for table in ["authentication_failures", "familiar_addresses"] {
        let drop = format!("DROP TABLE {table}");
        operations.execute(&drop, &[]).await.unwrap();
    }
    let attempt = attempt("ada", "192.0.2.1");
    let counters = FailureCounters { familiar_since: Some((0, 1)), ..FailureCounters::default() };
    keep_success(&operations, &attempt, &counters, 1).await.unwrap();
}

#[test]
fn the_waits_double_up_to_a_quarter_of_an_hour() {
    let statement = count_failure(Dialect::Sqlite);
    for part in [
        "failures < 4 THEN 0 ",
        "failures = 4 THEN 1000000 ",
        "failures = 5 THEN 2000000 ",
        "failures = 13 THEN 512000000 ELSE 900000000",
    ] {
        assert_eq!(statement.matches(part).count(), 1, "{part}: {statement}");
    }
}

/// A replica whose clock is this many seconds ahead of the database's, with its clock.
fn replica(operations: &Database, seconds: i64) -> (Throttle, Arc<TestClock>) {
    let clock = Arc::new(TestClock::running());
    clock.advance(seconds);
    (Throttle::new(operations.clone(), Arc::clone(&clock) as _), clock)
}

/// The wait in seconds before `attempt`; 0 when it may be made.
async fn wait(throttle: &Throttle, attempt: &Attempt) -> u64 {
    match throttle.check(attempt).await {
        Ok(_) => 0,
        Err(CommandError::Refused(Refusal::AttemptsAreTooMany { seconds })) => seconds,
        Err(error) => panic!("{error}"),
    }
}

/// Guesses where the waits are longest. Returns one more guess at the account and one from the address.
async fn guess(throttle: &Throttle) -> [Attempt; 2] {
    let counters = FailureCounters::default();
    for _ in 0..20 {
        let at_ada = attempt("ada", "192.0.2.1");
        throttle.failed(&at_ada, &counters).await.unwrap();
    }
    for number in 0..240 {
        let at_many = attempt(&format!("nobody{number}"), "198.51.100.9");
        throttle.failed(&at_many, &counters).await.unwrap();
    }
    [attempt("ada", "203.0.113.7"), attempt("somebody", "198.51.100.9")]
}

#[tokio::test]
async fn whoever_failed_where_the_clock_is_a_day_ahead_waits_no_longer_than_any_other() {
    let storage = TestStorage::new(Footing::Sqlite).await;
    let operations = storage.operations().await;
    let (ahead, _) = replica(&operations, 24 * 3_600);
    let (right, clock) = replica(&operations, 0);
    let guesses = guess(&ahead).await;
    for guess in &guesses {
        assert_eq!(wait(&right, guess).await, 900);
    }
    clock.advance(901);
    for guess in &guesses {
        assert_eq!(wait(&right, guess).await, 0);
    }
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_shortens_no_wait_that_another_has_counted() {
    let storage = TestStorage::new(Footing::Sqlite).await;
    let operations = storage.operations().await;
    let (right, clock) = replica(&operations, 0);
    let guesses = guess(&right).await;
    for seconds in [900, 24 * 3_600] {
        let (behind, _) = replica(&operations, -seconds);
        for guess in &guesses {
            for replica in [&behind, &right] {
                let left = wait(replica, guess).await;
                assert!((800..=900).contains(&left), "{left} s, {seconds} s behind");
            }
        }
    }
    clock.advance(1_200);
    for guess in &guesses {
        assert_eq!(wait(&right, guess).await, 0);
    }
}

/// As an attempt that was under way there already.
async fn a_failure_that_is_counted_where_the_clock_is_behind_ends_no_wait(footing: Footing) {
    let storage = TestStorage::new(footing).await;
    let operations = storage.operations().await;
    let (right, _) = replica(&operations, 0);
    let (behind, _) = replica(&operations, -900);
    let [at_ada, _] = guess(&right).await;
    behind.failed(&at_ada, &FailureCounters::default()).await.unwrap();
    let left = wait(&right, &at_ada).await;
    assert!((800..=900).contains(&left), "{left} s");
}

on_both_footings!(a_failure_that_is_counted_where_the_clock_is_behind_ends_no_wait);

#[tokio::test]
async fn a_wait_that_is_over_is_over_where_the_clock_is_days_behind_and_guesses_there_are_counted() {
    let storage = TestStorage::new(Footing::Sqlite).await;
    let operations = storage.operations().await;
    let (right, _) = replica(&operations, 0);
    let (earlier, _) = replica(&operations, -2_000);
    let (behind, _) = replica(&operations, -7 * 24 * 3_600);
    let guesses = guess(&earlier).await;
    for guess in &guesses {
        assert_eq!(wait(&behind, guess).await, 0);
    }
    let [at_ada, _] = guesses;
    let counters = behind.check(&at_ada).await.unwrap();
    behind.failed(&at_ada, &counters).await.unwrap();
    for replica in [&behind, &right] {
        let left = wait(replica, &at_ada).await;
        assert!((800..=900).contains(&left), "{left} s");
    }
}
