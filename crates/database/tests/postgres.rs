//! What only PostgreSQL can show. Needs a server: `DATABASE_URL`, or postgres@127.0.0.1:5432 without a password.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{pin::pin, time::Duration};

use database::{Database, Schema};

/// A pool of one connection.
async fn connect() -> Database {
    let url =
        std::env::var("DATABASE_URL").unwrap_or("postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    Database::connect(&url, Schema::Operations, 1).await.unwrap()
}

/// The process of the pool's one connection.
async fn pid(database: &Database) -> i64 {
    let row = database
        .fetch_optional("SELECT pg_backend_pid()::bigint AS pid", &[])
        .await;
    row.unwrap().unwrap().integer("pid").unwrap()
}

/// Tells from the outside whether a process is idle, in a transaction, or gone.
async fn state(observer: &Database, pid: i64) -> Option<String> {
    let sql = "SELECT state FROM pg_stat_activity WHERE pid = $1";
    let row = observer.fetch_optional(sql, &[pid.into()]).await.unwrap();
    row.map(|row| row.text("state").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_given_up_while_it_begins_is_not_left_to_others() {
    let (database, observer) = (connect().await, connect().await);
    for polls in 0..6 {
        {
            let mut beginning = pin!(database.begin());
            for _ in 0..polls {
                if futures::poll!(beginning.as_mut()).is_ready() {
                    break;
                }
                // For the server's answer to arrive between two polls.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let state = state(&observer, pid(&database).await).await;
        assert_eq!(state.as_deref(), Some("idle"), "after {polls} polls");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_dropped_ends_at_once_and_its_connection_stays() {
    let (database, observer) = (connect().await, connect().await);
    let before = pid(&database).await;
    drop(database.begin().await.unwrap());
    while state(&observer, before).await.as_deref() != Some("idle") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(pid(&database).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_given_up_leaves_nothing_to_others() {
    let database = connect().await;
    let before = pid(&database).await;
    {
        let mut slow = pin!(database.fetch_all("SELECT 17::bigint AS n, pg_sleep(1)", &[]));
        let given_up = tokio::time::timeout(Duration::from_millis(50), &mut slow).await;
        assert!(given_up.is_err());
    }
    assert_eq!(pid(&database).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_and_transactions_do_not_notice_that_connections_were_cut() {
    let (database, observer) = (connect().await, connect().await);
    let cut = async || {
        let pid = pid(&database).await;
        let sql = "SELECT pg_terminate_backend($1::int)";
        observer.fetch_all(sql, &[pid.into()]).await.unwrap();
        while state(&observer, pid).await.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pid
    };
    let before = cut().await;
    assert_ne!(pid(&database).await, before);
    cut().await;
    let mut transaction = database.begin().await.unwrap();
    transaction.execute("SELECT 1", &[]).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn every_connection_plans_once_and_notices_a_lost_machine() {
    let database = connect().await;
    for (setting, expected) in [
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_sort", "off"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
    ] {
        let sql = "SELECT current_setting($1) AS value, inet_client_addr() IS NOT NULL AS tcp";
        let row = database
            .fetch_optional(sql, &[setting.into()])
            .await
            .unwrap()
            .unwrap();
        // Over a Unix socket there is nothing to keep alive, and the server says 0.
        if row.boolean("tcp").unwrap() || !setting.starts_with("tcp") {
            assert_eq!(row.text("value").unwrap(), expected, "{setting}");
        }
    }
}
