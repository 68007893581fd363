//! What only PostgreSQL can show. Needs a server: `DATABASE_URL`, or postgres@127.0.0.1:5432 without a password.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{pin::pin, time::Duration};

use database::{Database, Schema};

async fn connect() -> Database {
    let url =
        std::env::var("DATABASE_URL").unwrap_or("postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    Database::connect(&url, Schema::Operations, 1).await.unwrap()
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
        // Of the pool's one connection.
        let row = database
            .fetch_optional("SELECT pg_backend_pid()::bigint AS pid", &[])
            .await;
        let pid = row.unwrap().unwrap().integer("pid").unwrap();
        let sql = "SELECT state FROM pg_stat_activity WHERE pid = $1";
        let row = observer.fetch_optional(sql, &[pid.into()]).await;
        let state = row.unwrap().unwrap().text("state").unwrap();
        assert_eq!(state, "idle", "after {polls} polls");
    }
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
