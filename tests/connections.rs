//! Two replicas of every role fit into the connections that PostgreSQL accepts by default.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::support::{Deployment, Person, System};

/// Maximum connections. PostgreSQL accepts 100, some of which are for superusers and operators.
const MAX_CONNECTIONS: i64 = 80;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_of_every_role_share_postgres_and_rabbitmq_under_load() {
    let mut system = System::launched(Deployment::Servers, 2).await;
    system.ready().await;
    let mut observer = PgConnection::connect(&system.database_url("")).await.unwrap();
    let mut people = JoinSet::new();
    for number in 0..24 {
        let base = system.bases[number % system.bases.len()].clone();
        people.spawn(async move {
            let person = Person::join(&base, &format!("person{number}")).await;
            for task in 0..5 {
                // Whether the command succeeds does not matter here.
                person.post("/tasks", json!({"title": task.to_string()})).await;
                person.get("/tasks").await;
            }
        });
    }
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut most = 0;
    while !people.is_empty() {
        let now: i64 = sqlx::query_scalar(sql).fetch_one(&mut observer).await.unwrap();
        most = most.max(now);
        if let Ok(Some(done)) = tokio::time::timeout(Duration::from_millis(20), people.join_next()).await {
            done.unwrap();
        }
    }
    assert!(most > 10, "{most} connections: did anybody do anything?");
    assert!(most <= MAX_CONNECTIONS, "{most} connections");
    observer.close().await.unwrap();
    system.stop().await;
}
