//! Undoing a request in the running system.

use serde_json::json;

use crate::support::{Deployment, Person, System};

#[tokio::test]
async fn embedded_undo() {
    undo(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_on_postgres_and_rabbitmq() {
    undo(Deployment::Servers).await;
}

async fn undo(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let titles: Vec<_> = (0..5).map(|number| format!("Task {number}")).collect();
    let create = |title: &String| json!({"op": "create", "title": title});
    let commands: Vec<_> = titles.iter().map(create).collect();
    let made = ada.post("/tasks/batch", json!({ "commands": commands })).await.expect(200);
    let results = made.body["results"].as_array().unwrap();
    let complete = |made: &serde_json::Value| json!({"op": "complete", "id": made["task"]["id"]});
    let commands: Vec<_> = results.iter().map(complete).collect();
    let mistake = ada.post("/tasks/batch", json!({ "commands": commands })).await.expect(200);
    assert_eq!(ada.get("/tasks/summary").await.expect(200).body["by_status"]["done"], 5);

    // The undo waits until the request is projected. Nobody else can undo it.
    let body = json!({"request_id": mistake.header("x-request-id")});
    let undone = ada.post("/tasks/undo", body.clone()).await.expect(200);
    let undone_results = undone.body["results"].as_array().unwrap();
    assert_eq!(undone_results.len(), 5);
    for result in undone_results {
        assert_eq!((&result["status"], &result["task"]["status"]), (&json!(200), &json!("open")));
    }
    assert_eq!(bob.post("/tasks/undo", body.clone()).await.expect(404).code(), "not-found");
    let summary = ada.get("/tasks/summary").await.expect(200).body;
    assert_eq!(summary["by_status"]["open"], 5);
    let again = ada.post("/tasks/undo", body).await.expect(200);
    assert_eq!(again.body, undone.body);

    // Undoing creations moves the tasks to the trash.
    let body = json!({"request_id": made.header("x-request-id")});
    ada.post("/tasks/undo", body).await.expect(200);
    assert_eq!(ada.get("/tasks").await.expect(200).body["items"], json!([]));
    let trash = ada.get("/tasks?deleted=true").await.expect(200);
    assert_eq!(trash.body["items"].as_array().unwrap().len(), 5);
    system.stop().await;
}
