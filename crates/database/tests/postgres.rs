//! Behaviour that only PostgreSQL has. Needs a server: `DATABASE_URL`, or postgres@127.0.0.1:5432 without a password.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{pin::pin, time::Duration};

use database::{Database, DatabaseError, Schema};
use sqlx::{Connection as _, Executor as _};
use test_support::{TestDatabase, eventually, postgres_url};

/// A pool of one connection.
async fn connect() -> Database {
    Database::connect(&postgres_url(), Schema::Operations, 1).await.unwrap()
}

async fn connect_to(server: &TestDatabase) -> Database {
    Database::connect(server.url().as_str(), Schema::Operations, 1).await.unwrap()
}

/// The process of the pool's one connection.
async fn pid(database: &Database) -> i64 {
    let row = database.fetch_optional("SELECT pg_backend_pid()::bigint AS pid", &[]).await;
    row.unwrap().unwrap().integer("pid").unwrap()
}

/// Whether a server process is idle, in a transaction, or gone, seen from another connection.
async fn state(observer: &Database, pid: i64) -> Option<String> {
    let sql = "SELECT state FROM pg_stat_activity WHERE pid = $1";
    let row = observer.fetch_optional(sql, &[pid.into()]).await.unwrap();
    row.map(|row| row.text("state").unwrap())
}

/// Whether the connection stays although `give_up` leaves something unfinished on it, in one of several rounds: on a
/// busy machine ending it may take too long.
async fn keeps_its_connection(database: &Database, give_up: impl AsyncFn(i64) -> bool) -> bool {
    for _ in 0..5 {
        let before = pid(database).await;
        if give_up(before).await && pid(database).await == before {
            return true;
        }
    }
    false
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
    let give_up = async |pid: i64| {
        drop(database.begin().await.unwrap());
        eventually("the transaction has ended", async || {
            state(&observer, pid).await.is_none_or(|state| state == "idle")
        })
        .await;
        true
    };
    assert!(keeps_its_connection(&database, give_up).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_statement_that_is_given_up_leaves_nothing_to_others_and_its_connection_stays() {
    let database = connect().await;
    let give_up = async |_: i64| {
        let slow = database.fetch_all("SELECT 17::bigint AS n, pg_sleep(0.05)", &[]);
        tokio::time::timeout(Duration::from_millis(10), slow).await.is_err()
    };
    assert!(keeps_its_connection(&database, give_up).await);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_columns_a_migration_has_changed_fails_once() {
    let server = TestDatabase::create().await;
    let database = connect_to(&server).await;
    let execute = async |sql: &str| database.execute(sql, &[]).await.unwrap();
    execute("CREATE TABLE public.widened (id BIGINT)").await;
    let read = async || database.fetch_all("SELECT * FROM public.widened", &[]).await;
    read().await.unwrap();
    execute("ALTER TABLE public.widened ADD COLUMN name TEXT").await;
    assert!(read().await.is_err(), "PostgreSQL refuses it");
    read().await.unwrap();
}

#[tokio::test]
async fn every_connection_plans_once_and_notices_a_lost_machine() {
    let database = connect().await;
    for (setting, expected) in [
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_sort", "off"),
        ("enable_seqscan", "off"),
        ("standard_conforming_strings", "on"),
        ("tcp_user_timeout", "10000"),
        ("tcp_keepalives_idle", "4"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
    ] {
        let sql = "SELECT current_setting($1) AS value, inet_client_addr() IS NOT NULL AS tcp";
        let row = database.fetch_optional(sql, &[setting.into()]).await.unwrap().unwrap();
        // A Unix socket has no keepalive, and the server reports 0.
        if row.boolean("tcp").unwrap() || !setting.starts_with("tcp") {
            assert_eq!(row.text("value").unwrap(), expected, "{setting}");
        }
    }
}

/// A role that may do nothing but read and write rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_the_right_to_create_opens_a_migrated_database() {
    let server = TestDatabase::create().await;
    let role = server.name().replace("taskledger_test", "role");
    server.run(&format!("CREATE ROLE {role} LOGIN; REVOKE ALL ON DATABASE {} FROM PUBLIC; GRANT CONNECT ON DATABASE {} TO {role}", server.name(), server.name())).await;
    for schema in [Schema::EventStore, Schema::Operations, Schema::ReadModels] {
        let name = schema.name();
        let open = async || Database::open(url_of(&server, &role).as_str(), schema, 1).await;
        let refused = open().await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{refused}");
        assert!(
            refused.contains("`taskledger migrate` as the owner") && refused.contains("rights.sql"),
            "{refused}"
        );
        Database::open(server.url().as_str(), schema, 1).await.unwrap();
        let grants = format!(
            "GRANT USAGE ON SCHEMA {name} TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role}"
        );
        server.run(&grants).await;
        open().await.unwrap();
    }
    server.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// One connection serves several schemas, and finds a table by its name alone.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_schemas_have_a_table_of_the_same_name() {
    let server = TestDatabase::create().await;
    let store = Database::open(server.url().as_str(), Schema::EventStore, 2).await.unwrap();
    for schema in [Schema::Operations, Schema::ReadModels] {
        store.with_schema(schema).unwrap().migrate().await.unwrap();
    }
    assert!(store.with_schema(Schema::ReadModelsShadow).is_none());
    let sql = "SELECT relname::text AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
               WHERE nspname IN ('event_store', 'operations', 'read_models') AND relkind IN ('r', 'v', 'm', 'p', 'S') \
               AND relname <> '_sqlx_migrations' GROUP BY relname HAVING count(*) > 1";
    let twice = store.fetch_all(sql, &[]).await.unwrap();
    let twice: Vec<String> = twice.iter().map(|row| row.text("name").unwrap()).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_waited_for() {
    let server = TestDatabase::create().await;
    let role = server.name().replace("taskledger_test", "role");
    server.run(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")).await;
    let url = url_of(&server, &role);
    let hog = sqlx::PgConnection::connect(url.as_str()).await.unwrap();
    let starting = tokio::spawn(async move { Database::connect(url.as_str(), Schema::Operations, 2).await });
    // Longer than the usual time limit for a connection.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!starting.is_finished());
    hog.close().await.unwrap();
    let database = starting.await.unwrap().unwrap();
    // Later it is an error with this reason, and goes away.
    let mut only = database.begin().await.unwrap();
    let error = database.ping().await.unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("too many connections"), "{error}");
    only.execute("SELECT 1", &[]).await.unwrap();
    drop(only);
    eventually("the connection is free", async || database.ping().await.is_ok()).await;
    database.close().await;
    server.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_go_out_after_the_commit_and_the_last_word_of_each_key_arrives() {
    let server = TestDatabase::create().await;
    let here = connect_to(&server).await;
    let there = Database::connect(server.url().as_str(), Schema::ReadModels, 1).await.unwrap();
    let (mut near, mut far) = (here.signals("test"), there.signals("test"));
    assert_eq!((near.next().await, far.next().await), (None, None), "they listen");
    let mut given_up = here.begin().await.unwrap();
    given_up.signal("test", "a", "never");
    drop(given_up);
    for number in 0..1_000 {
        let mut transaction = here.begin().await.unwrap();
        transaction.signal("test", (number % 2).to_string(), number.to_string());
        transaction.signal("other", "", "ignored");
        transaction.commit().await.unwrap();
    }
    for signals in [&mut near, &mut far] {
        let mut last = Vec::new();
        let listening = async {
            while !(last.contains(&998) && last.contains(&999)) {
                last.extend(signals.next().await.map(|payload| payload.parse::<u32>().unwrap()));
            }
        };
        tokio::time::timeout(Duration::from_secs(10), listening).await.unwrap();
        let even: Vec<u32> = last.iter().copied().filter(|number| number % 2 == 0).collect();
        assert!(even.is_sorted(), "of each key in order");
    }
}

/// `LISTEN` and `NOTIFY` find their way back, and say that some may have been lost.
#[tokio::test(flavor = "multi_thread")]
async fn signals_come_back_after_every_connection_was_cut() {
    let server = TestDatabase::create().await;
    let (here, there) = (connect_to(&server).await, connect_to(&server).await);
    let mut signals = there.signals("test");
    assert_eq!(signals.next().await, None, "it listens");
    here.signal("test", "", "before");
    assert_eq!(signals.next().await.as_deref(), Some("before"));
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        server.name()
    );
    server.connect().await.execute(cut.as_str()).await.unwrap();
    let back = async { while signals.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
    here.signal("test", "", "after");
    let after = tokio::time::timeout(Duration::from_secs(10), signals.next()).await;
    assert_eq!(after.unwrap().as_deref(), Some("after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_told_from_one_that_does() {
    let server = TestDatabase::create().await;
    let name = server.name();
    let can_write = async || connect_to(&server).await.can_write().await;
    can_write().await.unwrap();
    let read_only = "default_transaction_read_only";
    server.run(&format!("ALTER DATABASE {name} SET {read_only} = on")).await;
    let error = can_write().await.unwrap_err();
    assert!(matches!(error, DatabaseError::ReadOnly) && error.is_unavailable(), "{error}");
    server.run_outside(&format!("ALTER DATABASE {name} RESET {read_only}")).await;
    can_write().await.unwrap();
    server.run_outside(&format!("ALTER DATABASE {name} SET temp_file_limit = '64kB'")).await;
    // As on a full disk, there is no space for another file.
    let error = can_write().await.unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("temp"), "{error}");
}

/// The database as another role, which has no password.
fn url_of(server: &TestDatabase, role: &str) -> url::Url {
    let mut url = server.url();
    url.set_username(role).unwrap();
    url.set_password(None).unwrap();
    url
}
