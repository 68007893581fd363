//! The lock of a process is lost to another process that excludes it, and to nothing else. Needs a server.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod proxy;

use database::{Database, LockMode, PostgresServer, ProcessLock, Schema};
use proxy::Proxy;
use sqlx::PgConnection;
use test_support::{TestDatabase, eventually};
use tokio::task::JoinHandle;
use url::Url;

const NAME: &str = "taskledger.test";
const LOCK: &str = "SELECT pg_advisory_lock(hashtextextended($1, 0))";

async fn open(url: &Url) -> Database {
    Database::connect(url.as_str(), Schema::Operations, 1).await.unwrap()
}

async fn take(server: &PostgresServer) -> ProcessLock {
    let taken = ProcessLock::take(server, NAME, LockMode::Exclusive).await;
    taken.unwrap().unwrap()
}

async fn share(server: &PostgresServer, name: &'static str) -> Option<ProcessLock> {
    ProcessLock::take(server, name, LockMode::Shared).await.unwrap()
}

/// The sessions that have a lock.
async fn holders(observer: &Database) -> Vec<i64> {
    let sql = "SELECT pid::bigint AS pid FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let rows = observer.fetch_all(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.integer("pid").unwrap()).collect()
}

/// The session that has the lock.
async fn holder(observer: &Database) -> Option<i64> {
    holders(observer).await.first().copied()
}

/// Ends the session of the holder on the server, when another one is already waiting for the lock.
async fn take_away(observer: &Database, server: &PostgresServer) -> PgConnection {
    let first = holder(observer).await.unwrap();
    let mut other = server.connect().await.unwrap();
    let waiting = sqlx::query(LOCK).bind(NAME).execute(&mut other);
    let ending = async {
        let waits = "SELECT 1 AS one FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        eventually("another one waits", async || {
            observer.fetch_optional(waits, &[]).await.unwrap().is_some()
        })
        .await;
        let end = "SELECT pg_terminate_backend($1::int)::text AS ended";
        observer.fetch_all(end, &[first.into()]).await.unwrap();
    };
    tokio::join!(waiting, ending).0.unwrap();
    other
}

/// Waits until the process of `holding` has the lock again, in another session than `first`.
async fn is_held_again(observer: &Database, first: i64, mut holding: JoinHandle<()>) {
    let again =
        eventually("the lock is held again", async || holder(observer).await.is_some_and(|pid| pid != first));
    while_holding(&mut holding, again).await;
    holding.abort();
}

/// Waits for `condition`, before which the lock is not given up.
async fn while_holding(holding: &mut JoinHandle<()>, condition: impl Future<Output = ()>) {
    let is_held = tokio::select! {
        _ = holding => false,
        () = condition => true,
    };
    assert!(is_held, "the lock was given up");
}

#[tokio::test]
async fn a_server_that_stood_still_for_a_while_does_not_take_the_lock_away() {
    let server = TestDatabase::create().await;
    let (observer, proxy) = (open(&server.url()).await, Proxy::to(&server.url()).await);
    let database = open(&proxy.url(&server.url())).await;
    let lock = take(database.postgres().unwrap()).await;
    let first = holder(&observer).await.unwrap();
    let before = proxy.accepted();
    proxy.freeze();
    let mut holding = tokio::spawn(lock.hold());
    // The second attempt shows that the first was refused: the server does not know yet that the session is lost.
    let refused = eventually("it was refused once", async || proxy.accepted() > before + 1);
    while_holding(&mut holding, refused).await;
    assert_eq!(holder(&observer).await, Some(first));
    proxy.thaw();
    is_held_again(&observer, first, holding).await;
}

#[tokio::test]
async fn a_session_that_the_server_keeps_for_a_while_does_not_take_the_lock_away() {
    let server = TestDatabase::create().await;
    let (observer, proxy) = (open(&server.url()).await, Proxy::to(&server.url()).await);
    let database = open(&proxy.url(&server.url())).await;
    let lock = take(database.postgres().unwrap()).await;
    let other = take_away(&observer, database.postgres().unwrap()).await;
    let kept = holder(&observer).await.unwrap();
    let before = proxy.accepted();
    let mut holding = tokio::spawn(lock.hold());
    let refused = eventually("it was refused once", async || proxy.accepted() > before + 1);
    while_holding(&mut holding, refused).await;
    drop(other);
    is_held_again(&observer, kept, holding).await;
}

#[tokio::test]
async fn the_lock_of_a_process_that_has_died_is_waited_for() {
    let server = TestDatabase::create().await;
    let (observer, proxy) = (open(&server.url()).await, Proxy::to(&server.url()).await);
    let database = open(&proxy.url(&server.url())).await;
    let dead = take(database.postgres().unwrap()).await;
    let before = proxy.accepted();
    let taking = ProcessLock::take(database.postgres().unwrap(), NAME, LockMode::Exclusive);
    let ending = async {
        eventually("it was refused once", async || proxy.accepted() > before + 1).await;
        drop(dead);
    };
    let (taken, ()) = tokio::join!(taking, ending);
    let taken = taken.unwrap();
    assert!(taken.is_some());
    assert!(holder(&observer).await.is_some());
}

#[tokio::test]
async fn a_lock_that_another_process_has_is_given_up() {
    let server = TestDatabase::create().await;
    let observer = open(&server.url()).await;
    let server = observer.postgres().unwrap();
    let lock = take(server).await;
    let other = take_away(&observer, server).await;
    lock.hold().await;
    drop(other);
}

#[tokio::test]
async fn those_who_share_a_lock_exclude_only_those_who_want_it_alone() {
    const OTHER: &str = "taskledger.other_test";
    let server = TestDatabase::create().await;
    let database = open(&server.url()).await;
    let server = database.postgres().unwrap();
    let shared = [share(server, NAME).await, share(server, NAME).await];
    assert!(shared.iter().all(Option::is_some));
    let alone = ProcessLock::take(server, OTHER, LockMode::Exclusive).await.unwrap();
    assert!(alone.is_some());
    let (refused, also_refused) =
        tokio::join!(ProcessLock::take(server, NAME, LockMode::Exclusive), share(server, OTHER),);
    assert!(refused.unwrap().is_none() && also_refused.is_none());
    drop((shared, alone));
    assert!(share(server, OTHER).await.is_some());
    take(server).await;
}

#[tokio::test]
async fn a_shared_lock_is_taken_again_while_others_have_it() {
    let server = TestDatabase::create().await;
    let observer = open(&server.url()).await;
    let server = observer.postgres().unwrap();
    let lock = share(server, NAME).await.unwrap();
    let first = holder(&observer).await.unwrap();
    let _other = share(server, NAME).await.unwrap();
    let end = "SELECT pg_terminate_backend($1::int)::text AS ended";
    observer.fetch_all(end, &[first.into()]).await.unwrap();
    let mut holding = tokio::spawn(lock.hold());
    let again = eventually("both have the lock again", async || {
        let holders = holders(&observer).await;
        holders.len() == 2 && !holders.contains(&first)
    });
    while_holding(&mut holding, again).await;
    holding.abort();
}

#[tokio::test]
async fn a_server_that_ends_idle_sessions_keeps_the_lock_of_a_process_that_is_busy_otherwise() {
    let server = TestDatabase::create().await;
    let observer = open(&server.url()).await;
    let limit = format!("ALTER DATABASE {} SET idle_session_timeout = '2s'", server.name());
    observer.execute(&limit, &[]).await.unwrap();
    let database = observer.postgres().unwrap();
    let lock = take(database).await;
    // A session that is idle for a shorter time than that of the lock.
    let mut idle = database.connect().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut idle).await.unwrap();
    let is_there = "SELECT 1 AS one FROM pg_stat_activity WHERE pid = $1";
    eventually("the idle session is ended", async || {
        let row = observer.fetch_optional(is_there, &[i64::from(pid).into()]).await;
        row.unwrap().is_none()
    })
    .await;
    assert!(holder(&observer).await.is_some(), "the lock was lost");
    drop(lock);
}
