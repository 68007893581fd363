//! Reverting tasks to earlier versions in the running system.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Deployment, Person, System};

#[tokio::test]
async fn embedded_way_back() {
    way_back(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn way_back_on_postgres_and_rabbitmq() {
    way_back(Deployment::Servers).await;
}

/// The fields of a task apart from its times.
fn what(task: &Value) -> Value {
    let fields = ["title", "description", "status", "priority", "due", "tags"];
    fields
        .iter()
        .map(|field| ((*field).to_owned(), task[*field].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn way_back(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let first = ada
        .post("/tasks", json!({"title": "Draft", "tags": ["a"], "due": "2030-12-01"}))
        .await
        .expect(201)
        .body;
    let path = format!("/tasks/{}", first["id"].as_str().unwrap());
    let change = json!({"title": "Report", "description": "Two pages.", "tags": null, "status": "done"});
    let second = ada.patch(&path, change).await.expect(200).body;
    let revert = format!("{path}/revert");

    let back = ada.post(&revert, json!({"to_version": 1})).await.expect(200);
    assert_eq!(what(&back.body), what(&first));
    assert_eq!(back.header("etag"), format!("\"{}\"", back.body["version"]));
    assert!(back.body["version"].as_u64() > second["version"].as_u64());
    assert_eq!(ada.get(&path).await.expect(200).body, back.body);
    // The task is reverted forth again, and the second request finds it so already.
    let forth = ada.post(&revert, json!({"to_version": second["version"]})).await.expect(200);
    assert_eq!(what(&forth.body), what(&second));
    let again = ada.post(&revert, json!({"to_version": second["version"]})).await.expect(200);
    assert_eq!(again.body, forth.body);

    // A revert takes effect once for each key, and only from the expected version.
    let body = Some(json!({"to_version": 1}));
    let key = [("idempotency-key", "back")];
    let once = ada.try_send(Method::POST, &revert, body.clone(), &key).await.unwrap().expect(200);
    ada.patch(&path, json!({"title": "Later"})).await.expect(200);
    let twice = ada.try_send(Method::POST, &revert, body.clone(), &key).await.unwrap().expect(200);
    assert_eq!(once.body, twice.body);
    assert_eq!(ada.get(&path).await.expect(200).body["title"], "Later");
    let stale = [("if-match", "\"1\"")];
    let refused = ada.try_send(Method::POST, &revert, body, &stale).await.unwrap().expect(412);
    assert_eq!(refused.code(), "version-mismatch");

    for wrong in [
        json!({}),
        json!({"to_version": 0}),
        json!({"to_version": "1"}),
        json!({"to_version": 999}),
        json!({"to_version": 1_u64 << 53}),
    ] {
        let refused = ada.post(&revert, wrong.clone()).await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], "/to_version", "{wrong}");
    }
    bob.post(&revert, json!({"to_version": 1})).await.expect(404);
    ada.delete(&path).await.expect(204);
    ada.post(&revert, json!({"to_version": 1})).await.expect(404);
    system.read_models_equal_the_log().await;
    system.stop().await;
}
