//! The conformance suite on PostgreSQL, and faults that only PostgreSQL can have. Needs a server: `DATABASE_URL`, or
//! postgres@127.0.0.1:5432 without a password.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod conformance;
mod damaged;

use std::sync::Arc;

use async_trait::async_trait;
use conformance::{TestLog, assert_exactly, assert_in_order, conformance, event, events, stream, whole_log};
use event_store::{EventStore, StoreError};
use events::EventId;
use sqlx::{Executor, PgConnection};
use test_support::TestDatabase;
use tokio::task::JoinSet;
use uuid::Uuid;

const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('taskledger.event_store', 0))";

/// A log of one test.
struct PostgresLog(TestDatabase);

async fn fresh() -> PostgresLog {
    PostgresLog(TestDatabase::create().await)
}

impl PostgresLog {
    async fn connect(&self) -> PgConnection {
        let mut connection = self.0.connect().await;
        connection.execute("SET search_path = event_store").await.expect("a schema");
        connection
    }
}

#[async_trait]
impl TestLog for PostgresLog {
    async fn store(&self) -> Arc<dyn EventStore> {
        event_store::open(self.0.url().as_str(), 4).await.expect("a store")
    }

    fn dense(&self) -> bool {
        true
    }
}

conformance!(fresh);

/// A session took the lock and wrote, then rolled back or was killed: it blocks until then, and no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_transaction_leaves_no_gap() {
    let log = fresh().await;
    let store = log.store().await;
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    for (killed, version) in [(false, 1), (true, 2)] {
        let mut other = log.connect().await;
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other).await.unwrap();
        other.execute("BEGIN").await.unwrap();
        other.execute(LOCK).await.unwrap();
        let sql = "INSERT INTO events SELECT position + 1, version + 1, recorded_at, schema_version, id, stream, \
            type, encoding, metadata, data, data_sha256 FROM events ORDER BY position DESC LIMIT 1";
        other.execute(sql).await.unwrap();

        let waiting = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.append(&stream("task-1"), version, events(1)).await }
        });
        wait_for_lock_waiter(&log).await;
        // Readers see neither, and are not blocked.
        assert_eq!(store.head().await.unwrap(), version);
        assert!(!waiting.is_finished());
        if killed {
            log.0.run_outside(&format!("SELECT pg_terminate_backend({pid})")).await;
        } else {
            other.execute("ROLLBACK").await.unwrap();
        }

        let appended = waiting.await.unwrap().unwrap();
        assert_eq!((appended.version, appended.position), (version + 1, version + 1));
    }
    assert_in_order(&whole_log(&*store).await, true);
}

async fn wait_for_lock_waiter(log: &PostgresLog) {
    let mut connection = log.connect().await;
    let sql = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'";
    while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
}

/// A single event is appended by a statement of its own, or by a function if that appends nothing. It leaves no gap
/// either, whatever others do in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_events_leave_no_gap() {
    let log = fresh().await;
    let (one, other) = (log.store().await, log.store().await);
    let task = stream("task-1");
    let append = async |store: &Arc<dyn EventStore>, version| store.append(&task, version, events(1)).await;
    for version in 0..4 {
        append(&one, version).await.unwrap();
    }
    for version in [0, 3, 5, u64::MAX] {
        let refused = append(&one, version).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict { actual: 4, .. })),
            "expected {version}: {refused:?}"
        );
        let aside = stream(&format!("task-aside-{version}"));
        for version in 0..3 {
            one.append(&aside, version, events(1)).await.unwrap();
        }
    }
    // Another appends in between, on the same stream.
    let mut version = 4;
    for store in [&other, &one, &one, &one, &other, &other, &other, &one] {
        let appended = append(store, version).await.unwrap();
        version += 1;
        assert_eq!(appended.version, version);
    }
    // The log loses its end, as after a restored backup, while an append waits for its turn.
    append(&one, version).await.unwrap();
    append(&one, version + 1).await.unwrap();
    let end = append(&one, version + 2).await.unwrap().position;
    let mut other_session = log.connect().await;
    other_session.execute("BEGIN").await.unwrap();
    other_session.execute(LOCK).await.unwrap();
    let aside = stream("task-aside");
    let waiting = one.append(&aside, 0, events(1));
    let losing = async {
        wait_for_lock_waiter(&log).await;
        let lose = format!("DELETE FROM events WHERE position > {}", end - 2);
        other_session.execute(lose.as_str()).await.unwrap();
        other_session.execute("COMMIT").await.unwrap();
    };
    let (appended, ()) = tokio::join!(waiting, losing);
    assert_eq!(appended.unwrap().position, end - 1);
    let appended = append(&one, version + 1).await.unwrap();
    assert_eq!((appended.version, appended.position), (version + 2, end));
    drop((one, other));
    assert_in_order(&whole_log(&*log.store().await).await, true);
}

/// What PostgreSQL refuses within a batch fails alone; the others of the batch are appended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_stream_name() {
    let log = fresh().await;
    let store = log.store().await;
    // Long, and too random to be compressed into an index entry.
    let name: String = (0..500).map(|_| Uuid::now_v7().simple().to_string()).collect();
    let (good, bad, names) = (events(2), event("{}"), [stream("task-1"), stream(&name), stream("task-2")]);
    let (first, refused, last) = tokio::join!(
        store.append(&names[0], 0, vec![good[0].clone()]),
        store.append(&names[1], 0, vec![bad]),
        store.append(&names[2], 0, vec![good[1].clone()]),
    );
    assert_eq!((first.unwrap().position, last.unwrap().position), (1, 2));
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(error)) if error.to_string().contains("index row")),
        "{refused:?}"
    );
    assert_exactly(&whole_log(&*store).await, good.iter().map(|event| event.id));
}

/// The snapshot that `append_events()` reads with must be younger than its lock, whatever the server's
/// defaults say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_defaults_of_the_server() {
    let log = fresh().await;
    let name = log.0.name();
    for setting in ["default_transaction_isolation = 'serializable'", "synchronous_commit = 'off'"] {
        log.0.run_outside(&format!("ALTER DATABASE {name} SET {setting}")).await;
    }
    // Records the settings inside the transactions of appends.
    drop(log.store().await);
    let mut connection = log.connect().await;
    let witness = "CREATE TABLE witnessed (isolation text, durability text); \
        CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            INSERT INTO witnessed VALUES (current_setting('transaction_isolation'), current_setting('synchronous_commit')); \
            RETURN NULL; \
        END $$; \
        CREATE TRIGGER witness AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION witness()";
    connection.execute(sqlx::raw_sql(witness)).await.unwrap();
    conformance::two_instances(&log).await;
    let witnessed: Vec<(String, String)> =
        sqlx::query_as("SELECT DISTINCT isolation, durability FROM witnessed")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(witnessed, [("read committed".to_owned(), "on".to_owned())]);

    let sql = "SELECT append_events('{s}', '{1}', '{0}', '{1}', '{1}', '{1}', '{s}', \
        '{019a0000-0000-7000-8000-000000000000}', '{k}', '{1}', '{json}', '{x}', '{x}', '{1}')";
    let error = connection.execute(sql).await.unwrap_err();
    assert!(error.to_string().contains("READ COMMITTED"), "{error}");
}

/// Connections are cut under load: some appends fail, and may or may not be in the log, but none is there twice.
/// Acknowledged events are there, and appending continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminated_connections() {
    let log = Arc::new(fresh().await);
    let store = log.store().await;
    let mut subscription = store.subscribe(0);
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let (mut acknowledged, mut uncertain): (Vec<EventId>, Vec<EventId>) = Default::default();
            let (name, mut version) = (stream(&format!("task-{writer}")), 0);
            // Until some appends have failed and others have succeeded afterwards.
            while uncertain.is_empty() || acknowledged.len() < 200 {
                let new = event("{}");
                match store.append(&name, version, vec![new.clone()]).await {
                    Ok(appended) => {
                        acknowledged.push(new.id);
                        version = appended.version;
                    }
                    Err(StoreError::Unavailable(_)) => uncertain.push(new.id),
                    Err(StoreError::Conflict { actual, .. }) => version = actual,
                    Err(error) => panic!("{error}"),
                }
            }
            (acknowledged, uncertain)
        });
    }
    let killer = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let name = log.0.name();
            let sql = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = '{name}' AND (query LIKE '%append_event%' OR query LIKE 'INSERT INTO events%')"
            );
            loop {
                log.0.run_outside(&sql).await;
            }
        })
    };
    let (mut acknowledged, mut uncertain) = (Vec::new(), Vec::new());
    let mut results = Vec::new();
    while let Some(result) = writers.join_next().await {
        results.push(result.unwrap());
    }
    killer.abort();
    for (good, bad) in results {
        acknowledged.extend(good);
        uncertain.extend(bad);
    }

    let last = event("{}");
    while store.append(&stream("task-last"), 0, vec![last.clone()]).await.is_err() {}
    let read = whole_log(&*store).await;
    assert_in_order(&read, true);
    let written_after_all = uncertain.into_iter().filter(|id| read.iter().any(|event| event.id == *id));
    assert_exactly(&read, acknowledged.into_iter().chain(written_after_all).chain([last.id]));
    assert_eq!(conformance::take(&mut subscription, read.len()).await, read);
}

/// After the server has cut every connection, appends, reads and signals work again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_and_readers_come_back() {
    let log = fresh().await;
    let (here, there) = (log.store().await, log.store().await);
    let mut subscription = there.subscribe(0);
    here.append(&stream("task-1"), 0, events(1)).await.unwrap();
    conformance::take(&mut subscription, 1).await;
    let sql =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", log.0.name());
    log.0.run_outside(&sql).await;
    for version in 1..6 {
        while let Err(error) = here.append(&stream("task-1"), version, events(1)).await {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        }
        conformance::take(&mut subscription, 1).await;
    }
    assert_eq!(there.read_stream(&stream("task-1"), 0, 100).await.unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_read_one_by_one() {
    for damage in damaged::DAMAGES {
        let log = fresh().await;
        let store = log.store().await;
        damaged::four_records(&*store).await;
        log.connect().await.execute(damage).await.unwrap();
        damaged::one_record_is_unreadable(&*store, damage).await;
    }
}
