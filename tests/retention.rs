//! Tasks are purged after they have been in the trash for long enough.

use std::time::Duration;

use events::{Encoding, EventId, NewEvent, StreamName};
use serde_json::{Value, json};

use crate::support::{Deployment, Person, System, until};

const TIMEOUT: Duration = Duration::from_secs(60);
const DAY: i64 = 24 * 60 * 60;

#[tokio::test(flavor = "multi_thread")]
async fn embedded_trash_is_emptied() {
    emptied(Deployment::Embedded, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trash_is_emptied_on_postgres_and_rabbitmq() {
    emptied(Deployment::Servers, 2).await;
}

/// Moves the task to the trash with a time `days` days ago.
async fn delete(system: &System, task: &str, days: i64) {
    let stream = StreamName::raw(format!("task-{task}"));
    let store = system.open_log().await;
    let last = store.read_stream(&stream, 0, 100).await.unwrap().pop().unwrap();
    let deleted = NewEvent {
        id: EventId(uuid::Uuid::new_v4()),
        kind: "task.deleted".to_owned(),
        schema_version: 1,
        encoding: Encoding::Json,
        data: "{}".into(),
        metadata: last.metadata,
        recorded_at: last.recorded_at.plus_seconds(-days * DAY),
    };
    store.append(&stream, last.version, vec![deleted]).await.unwrap();
}

async fn titles(person: &Person, query: &str) -> Vec<Value> {
    let page = person.get(query).await.expect(200).body;
    page["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect()
}

/// One of three tasks in the trash is old. Two replicas empty the trash at once.
async fn emptied(deployment: Deployment, replicas: usize) {
    let mut system = System::launched(deployment, replicas).await;
    system.ready().await;
    let mut ada = Person::join(&system.base, "ada").await;
    let old = ada.create("Thirty-one days").await;
    let recent = ada.create("Twenty-nine days").await;
    let kept = ada.create("Not in the trash").await;
    let since = ada.get("/tasks/changes").await.expect(200).body["next"].clone();
    delete(&system, &old, 31).await;
    delete(&system, &recent, 29).await;
    system.read_models_equal_the_log().await;
    assert_eq!(titles(&ada, "/tasks?deleted=true&sort=title").await.len(), 2);

    system.terminate_all();
    system.set("TASKLEDGER_TRASH_RETENTION_DAYS", "30");
    for replica in system.replicas() {
        system.launch(replica);
    }
    system.ready().await;
    ada.log_in().await;
    until("the old task is gone", TIMEOUT, async || {
        titles(&ada, "/tasks?deleted=true").await == ["Twenty-nine days"]
    })
    .await;
    for path in ["", "/history", "?version=1"] {
        ada.get(&format!("/tasks/{old}{path}")).await.expect(404);
    }
    for command in ["restore", "complete"] {
        ada.post(&format!("/tasks/{old}/{command}"), json!({})).await.expect(404);
    }
    ada.post(&format!("/tasks/{recent}/restore"), json!({})).await.expect(200);
    assert_eq!(titles(&ada, "/tasks?sort=title").await, ["Not in the trash", "Twenty-nine days"]);

    // A client that polls for changes is told of it, and the audit trail has it once.
    let since = since.as_str().unwrap();
    let changes = ada.get(&format!("/tasks/changes?since={since}")).await.expect(200).body;
    assert_eq!(changes["deleted"], json!([old]));
    assert_eq!(changes["changed"].as_array().unwrap().len(), 1, "{changes}");
    let trail = ada.get("/audit/events?type=task.purged").await.expect(200).body;
    assert_eq!(trail["items"].as_array().unwrap().len(), 1, "{trail}");
    assert_eq!(trail["items"][0]["actor"], "system");
    ada.get(&format!("/tasks/{kept}")).await.expect(200);

    // The log alone gives the same result.
    let report = system.read_models_equal_the_log().await;
    assert!(report.differences.is_empty());
    let rebuild = system.tool(&["projection", "rebuild", "--yes", "--verify"]).output().unwrap();
    assert!(rebuild.status.success(), "{rebuild:?}");
    ada.get(&format!("/tasks/{old}")).await.expect(404);
    system.read_models_equal_the_log().await;
    system.stop().await;
}
