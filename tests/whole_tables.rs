//! PostgreSQL keeps a plan that it made for an empty table, so no statement may have a plan that reads a whole table.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::support::{Deployment, System, Workload, until};

/// Number of rows below which reading a whole table is correct.
const FEW: i64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reads_a_whole_table_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let workload = Workload::start(&system.base, 8).await;
    workload.progress(1_500).await;
    workload.finish().await;
    let person = crate::support::Person::join(&system.base, "reader").await;
    let tasks: Vec<_> = (0..100)
        .map(|number| json!({"op": "create", "title": format!("Number {number}"), "tags": ["odd"]}))
        .collect();
    person.post("/tasks/batch", json!({"commands": tasks})).await.expect(200);
    for query in [
        "",
        "?q=umber+7",
        "?tag=odd&sort=title",
        "?status=open&priority=normal&sort=-due",
        "?deleted=true",
        "?count=true",
    ] {
        person.get(&format!("/tasks{query}")).await.expect(200);
    }
    until("what was done is projected", Duration::from_secs(60), async || system.is_ready().await).await;
    // A session reports its statistics when it ends.
    system.terminate_all();
    let mut connection = PgConnection::connect(&system.database_url("")).await.unwrap();
    let rows = sqlx::query(
        "SELECT schemaname || '.' || relname, seq_tup_read, n_tup_ins FROM pg_stat_user_tables
         WHERE n_tup_ins >= $1 ORDER BY 1",
    )
    .bind(FEW)
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let tables: Vec<(String, i64, i64)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    connection.close().await.unwrap();
    let names = [
        "event_store.events",
        "read_models.tasks",
        "read_models.audit_log",
        "read_models.task_history",
        "operations.idempotency_keys",
    ];
    for name in names {
        assert!(tables.iter().any(|table| table.0 == name), "{name} is not among {tables:?}");
    }
    let read: Vec<_> = tables.iter().filter(|table| table.1 > 0).collect();
    assert!(read.is_empty(), "read from end to end, with rows read and inserted: {read:?}");
    system.stop().await;
}
