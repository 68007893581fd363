//! No statement waits longer for PostgreSQL than its time limit, and none continues after its caller has gone. Needs
//! a server.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[expect(dead_code, reason = "the connections here stay frozen")]
mod proxy;

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use database::{Database, DatabaseError, Schema, StatementTimeout};
use proxy::Proxy;
use test_support::{TestDatabase, eventually};

async fn connect(url: &url::Url) -> Database {
    Database::connect(url.as_str(), Schema::Operations, 1).await.unwrap()
}

/// Lets all deadlines pass at once while nothing else happens.
async fn at_once<T>(work: impl Future<Output = T>) -> T {
    tokio::time::pause();
    let result = work.await;
    tokio::time::resume();
    result
}

#[tokio::test]
async fn whatever_a_silent_connection_does_ends_with_the_deadline_and_the_next_one_works() {
    let server = TestDatabase::create().await;
    let proxy = Proxy::to(&server.url()).await;
    let database = connect(&proxy.url(&server.url())).await;
    for (what, statement_timeout) in [
        ("execute", StatementTimeout::Request),
        ("fetch", StatementTimeout::Request),
        ("fetch", StatementTimeout::Page),
        ("execute", StatementTimeout::Maintenance),
        ("begin", StatementTimeout::Request),
        ("snapshot", StatementTimeout::Request),
        ("execute in a transaction", StatementTimeout::Request),
        ("fetch in a transaction", StatementTimeout::Page),
        ("commit", StatementTimeout::Request),
    ] {
        let database = database.with_statement_timeout(statement_timeout);
        database.ping().await.unwrap();
        let result = match what {
            "execute" => {
                proxy.freeze();
                at_once(database.execute("SELECT 1", &[])).await.map(drop)
            }
            "fetch" => {
                proxy.freeze();
                at_once(database.fetch_all("SELECT 1", &[])).await.map(drop)
            }
            "begin" => {
                proxy.freeze();
                at_once(database.begin()).await.map(drop)
            }
            "snapshot" => {
                proxy.freeze();
                at_once(database.snapshot()).await.map(drop)
            }
            _ => {
                let mut transaction = database.begin().await.unwrap();
                proxy.freeze();
                match what {
                    "commit" => at_once(transaction.commit()).await,
                    "fetch in a transaction" => {
                        at_once(transaction.fetch_all("SELECT 1", &[])).await.map(drop)
                    }
                    _ => at_once(transaction.execute("SELECT 1", &[])).await.map(drop),
                }
            }
        };
        match result {
            Err(error @ DatabaseError::Late { limit }) => {
                assert_eq!(limit, statement_timeout.limit(), "{what}");
                assert!(error.is_unavailable() && error.is_late(), "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
        database.ping().await.unwrap();
    }
}

/// The server has moved without a word, as its address does in a failover. Two of its connections are waited for, each
/// for a second: by one caller, as here, or by two.
#[tokio::test]
async fn connections_that_do_not_answer_cost_callers_two_seconds_however_many_there_are() {
    const CONNECTIONS: u32 = 12;
    let server = TestDatabase::create().await;
    let proxy = Proxy::to(&server.url()).await;
    let url = proxy.url(&server.url());
    let database = Database::connect(url.as_str(), Schema::Operations, CONNECTIONS).await.unwrap();
    let all_in_use = async || {
        let mut transactions = Vec::new();
        for _ in 0..CONNECTIONS {
            transactions.push(database.begin().await.unwrap());
        }
        for transaction in transactions {
            transaction.commit().await.unwrap();
        }
    };
    all_in_use().await;
    // What was taken within the last second is not tested.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    proxy.freeze();
    let begun = Instant::now();
    all_in_use().await;
    // A test of each of them takes 12 seconds.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn signals_over_a_silent_connection_arrive_over_the_next_one() {
    let server = TestDatabase::create().await;
    let proxy = Proxy::to(&server.url()).await;
    let here = connect(&proxy.url(&server.url())).await;
    let there = connect(&server.url()).await;
    let (mut near, mut far) = (here.signals("test"), there.signals("test"));
    assert_eq!((near.next().await, far.next().await), (None, None), "they listen");
    proxy.freeze();
    here.signal("test", "a", "1");
    here.signal("test", "b", "2");
    // Meanwhile these two are sent, and do not arrive.
    tokio::time::sleep(Duration::from_millis(100)).await;
    here.signal("test", "b", "3");
    let arriving = async { [far.next().await, far.next().await] };
    let mut arrived = tokio::time::timeout(Duration::from_secs(30), arriving).await.unwrap();
    arrived.sort();
    let last_words = ["1", "3"].map(|payload| Some(payload.to_owned()));
    assert_eq!(arrived, last_words, "the last word of each key");
}

/// A stopped process keeps its locks for a bounded time, too.
#[tokio::test]
async fn every_connection_has_deadlines_on_the_server_as_well() {
    let server = TestDatabase::create().await;
    let database = connect(&server.url()).await;
    let expected = [
        ("statement_timeout", "15s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("client_connection_check_interval", "1s"),
    ];
    for (setting, value) in expected {
        let row = database.fetch_optional("SELECT current_setting($1) AS value", &[setting.into()]).await;
        assert_eq!(row.unwrap().unwrap().text("value").unwrap(), value, "{setting}");
        let mut outside = database.postgres().unwrap().connect().await.unwrap();
        let found: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut outside)
            .await
            .unwrap();
        assert_eq!(found, value, "{setting} of a connection outside the pool");
    }
    for (statement_timeout, value) in [
        (StatementTimeout::Page, "1min"),
        (StatementTimeout::Maintenance, "1h"),
        (StatementTimeout::Request, "15s"),
    ] {
        let sql = "SELECT current_setting('statement_timeout') AS value";
        let row = database.with_statement_timeout(statement_timeout).fetch_optional(sql, &[]).await;
        assert_eq!(row.unwrap().unwrap().text("value").unwrap(), value, "{statement_timeout:?}");
    }
}

async fn is_sleeping(observer: &Database, server: &TestDatabase) -> bool {
    let sql = "SELECT 1 AS one FROM pg_stat_activity WHERE datname = $1 AND query LIKE '%pg_sleep(100)' AND state = 'active'";
    let row = observer.fetch_optional(sql, &[server.name().into()]).await;
    row.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_ends_on_the_server_and_frees_its_connection() {
    let server = TestDatabase::create().await;
    let (database, observer) = (connect(&server.url()).await, connect(&server.url()).await);
    for in_transaction in [false, true] {
        {
            let mut slow = pin!(async {
                if in_transaction {
                    let mut transaction = database.begin().await.unwrap();
                    transaction.execute("SELECT pg_sleep(100)", &[]).await.map(drop)
                } else {
                    database.fetch_all("SELECT pg_sleep(100)", &[]).await.map(drop)
                }
            });
            let until_it_sleeps =
                eventually("the statement runs", async || is_sleeping(&observer, &server).await);
            tokio::select! {
                _ = &mut slow => panic!("it slept on"),
                () = until_it_sleeps => {}
            }
        }
        let given_up = Instant::now();
        database.ping().await.unwrap();
        assert!(given_up.elapsed() < Duration::from_secs(5), "{:?}", given_up.elapsed());
        eventually("the statement ends", async || !is_sleeping(&observer, &server).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_as_long_as_the_transaction_says() {
    let server = TestDatabase::create().await;
    let (one, two) = (connect(&server.url()).await, connect(&server.url()).await);
    let mut holder = one.begin().await.unwrap();
    let lock = "SELECT pg_advisory_xact_lock(1)";
    holder.execute(lock, &[]).await.unwrap();
    let mut waiter = two.begin_with_lock_timeout(Duration::from_millis(100)).await.unwrap();
    let error = waiter.execute(lock, &[]).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert!(error.to_string().contains("lock timeout"), "{error}");
    drop(waiter);
    holder.commit().await.unwrap();
    let mut waiter = two.begin().await.unwrap();
    waiter.execute(lock, &[]).await.unwrap();
    let row = waiter.fetch_optional("SELECT current_setting('lock_timeout') AS value", &[]).await;
    assert_eq!(row.unwrap().unwrap().text("value").unwrap(), "10s");
}

/// A process that is stopped as soon as it has the lock for migrations.
#[tokio::test]
async fn a_frozen_migration_holds_up_others_for_seconds_only() {
    let server = TestDatabase::create().await;
    let observer = connect(&server.url()).await;
    let frozen = connect(&server.url()).await;
    let mut migrating = std::pin::pin!(frozen.migrate());
    let holds = "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    loop {
        assert!(futures::poll!(&mut migrating).is_pending(), "it was not stopped in time");
        let row = observer.fetch_optional(holds, &[]).await.unwrap().unwrap();
        if row.unsigned("held").unwrap() > 0 {
            break;
        }
    }
    // Nobody polls the first any more, and its lock is given up.
    let url = server.url();
    let opening = Database::open(url.as_str(), Schema::Operations, 1);
    let opened = tokio::time::timeout(Duration::from_secs(60), opening).await;
    let opened = opened.unwrap().unwrap();
    assert!(opened.is_migrated().await.unwrap());
}
