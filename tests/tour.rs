//! A walk through the API, from registration to erasure.

use serde_json::json;

use crate::support::{Deployment, Person, Role, System};

#[tokio::test]
async fn embedded_tour() {
    tour(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tour_on_postgres_and_rabbitmq() {
    tour(Deployment::Servers).await;
}

async fn tour(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut ada = Person::join(&system.base, "ada").await;

    let created = ada
        .post("/tasks", json!({"title": "  Write the report ", "priority": "high", "due": "2030-12-01", "tags": ["work", "q4"]}))
        .await
        .expect(201);
    let id = created.body["id"].as_str().unwrap().to_owned();
    let path = format!("/tasks/{id}");
    assert_eq!(created.header("location"), path);
    assert_eq!(created.header("etag"), "\"1\"");
    assert!(!created.header("consistency-token").is_empty());
    assert_eq!(created.body["title"], "Write the report");
    assert_eq!(created.body["status"], "open");

    let shown = ada.get(&path).await.expect(200);
    assert_eq!(shown.body, created.body, "the projection shows what the command answered");
    assert_eq!(shown.header("etag"), "\"1\"");

    ada.post(&format!("{path}/start"), json!({})).await.expect(200);
    let done = ada.patch(&path, json!({"status": "done", "description": "Two pages."})).await.expect(200);
    assert_eq!(done.body["status"], "done");
    assert!(done.body["completed_at"].is_string());

    let second = ada.post("/tasks", json!({"title": "Plan the party"})).await.expect(201);
    let page = ada.get("/tasks?status=open").await.expect(200);
    assert_eq!(page.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(page.body["items"][0]["id"], second.body["id"]);
    let page = ada.get("/tasks?tag=work&q=REPORT&count=true").await.expect(200);
    assert_eq!(page.body["total"], 1);
    assert_eq!(page.body["items"][0]["version"], done.body["version"]);

    ada.delete(&path).await.expect(204);
    ada.get(&path).await.expect(404);
    assert_eq!(ada.get("/tasks?deleted=true").await.expect(200).body["items"][0]["id"], id.as_str());
    ada.post(&format!("{path}/restore"), json!({})).await.expect(200);
    ada.get(&path).await.expect(200);

    let bob = Person::join(&system.base, "bob").await;
    assert_eq!(bob.get(&path).await.expect(404).code(), "not-found");
    assert_eq!(bob.get("/tasks").await.expect(200).body["items"], json!([]));

    let refreshed = ada.post("/auth/refresh", json!({"refresh_token": ada.refresh_token})).await.expect(200);
    ada.token = refreshed.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(ada.get("/auth/me").await.expect(200).body["user"]["email"], ada.email.as_str());
    assert_eq!(ada.get("/auth/sessions").await.expect(200).body["items"].as_array().unwrap().len(), 1);
    ada.send(reqwest::Method::POST, "/auth/logout", None).await.expect(204);
    assert_eq!(ada.get("/auth/me").await.expect(401).code(), "session-ended");

    let report = system.read_models_equal_the_log().await;
    assert!(report.events > 10);
    system.stop().await;
}

#[tokio::test]
async fn embedded_data_survives_kill_9() {
    let mut system = System::start(Deployment::Embedded).await;
    let mut ada = Person::join(&system.base, "ada").await;
    let mut titles = Vec::new();
    for number in 0..20 {
        let title = format!("task {number:02}");
        ada.post("/tasks", json!({"title": title})).await.expect(201);
        titles.push(title);
    }
    system.kill(Role::Up);
    system.launch(Role::Up);
    system.ready().await;
    ada.log_in().await;
    let page = ada.get("/tasks?sort=title").await.expect(200);
    let shown: Vec<_> =
        page.body["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect();
    assert_eq!(shown, titles);

    // The read models can be deleted at any time.
    assert_eq!(system.terminate(Role::Up), Some(0));
    for file in ["read-models.db", "read-models.db-wal", "read-models.db-shm"] {
        let _ = std::fs::remove_file(system.data_dir().join(file));
    }
    system.launch(Role::Up);
    system.ready().await;
    ada.log_in().await;
    let page = ada.get("/tasks?sort=title").await.expect(200);
    assert_eq!(page.body["items"].as_array().unwrap().len(), titles.len());
    system.read_models_equal_the_log().await;
    system.stop().await;
}
