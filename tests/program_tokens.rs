//! What program tokens allow and what they do not.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use test_support::once_within;

use crate::support::{Answer, Deployment, Person, System, at_once};

/// The time within which a program token that was taken back has to be refused.
const REFUSED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn embedded_programs_do_what_their_tokens_say() {
    programs(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_do_what_their_tokens_say_on_postgres_and_rabbitmq() {
    programs(Deployment::Servers).await;
}

async fn program(person: &Person, scopes: Value) -> (Person, String) {
    let body = json!({"name": "Robot", "scopes": scopes});
    let made = person.post("/auth/tokens", body).await.expect(201);
    let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
    let program = Person { token: text("token"), ..person.clone() };
    (program, text("id"))
}

fn is_forbidden(answer: Answer) {
    assert_eq!(answer.expect(403).code(), "forbidden");
}

async fn programs(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let (reader, reading) = program(&ada, json!(["tasks:read"])).await;
    let (writer, writing) = program(&ada, json!(["tasks:write", "tasks:read"])).await;
    let (auditor, _) = program(&ada, json!(["audit:read"])).await;

    let title = json!({"title": "Water the plants"});
    let task = writer.post("/tasks", title.clone()).await.expect(201);
    let path = format!("/tasks/{}", task.body["id"].as_str().unwrap());
    assert_eq!(writer.get(&path).await.expect(200).body["title"], title["title"]);
    let token = task.header("consistency-token");
    let headers = [("consistency-token", token)];
    let shown = reader.try_send(Method::GET, &path, None, &headers).await.unwrap();
    shown.expect(200);

    is_forbidden(reader.post("/tasks", title.clone()).await);
    is_forbidden(reader.delete(&path).await);
    let batch = json!({"commands": [{"op": "complete", "id": task.body["id"]}]});
    is_forbidden(reader.post("/tasks/batch", batch).await);
    is_forbidden(auditor.get(&path).await);
    is_forbidden(auditor.post("/tasks", title).await);
    for answer in [
        writer.get("/auth/me").await,
        writer.get("/auth/tokens").await,
        writer.delete(&format!("/auth/tokens/{reading}")).await,
        writer.post("/auth/logout-all", json!({})).await,
    ] {
        is_forbidden(answer);
    }

    // The events name the program token.
    let user = ada.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let stream = format!("task-{}", task.body["id"].as_str().unwrap());
    let shown = system.tool(&["events", "show", &stream, "--json"]).output().unwrap();
    let created: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(created["metadata"]["actor"], format!("{}/token/{writing}", user.as_str().unwrap()));

    once_within(REFUSED, async || {
        let (reader, reading) = program(&ada, json!(["tasks:read"])).await;
        reader.get(&path).await.expect(200);
        ada.delete(&format!("/auth/tokens/{reading}")).await.expect(204);
        let taken_back = Instant::now();
        at_once("the token is refused", async || reader.get(&path).await.status == 401).await;
        taken_back.elapsed()
    })
    .await;
    writer.get(&path).await.expect(200);
    ada.delete("/auth/tokens").await.expect(204);
    at_once("every token is refused", async || writer.get(&path).await.status == 401).await;
    let (later, _) = program(&ada, json!(["tasks:read"])).await;
    later.get(&path).await.expect(200);
    let done = system.tool(&["users", "revoke-tokens", &ada.email]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    // Also where nobody is asked.
    assert!(String::from_utf8_lossy(&done.stdout).starts_with(&ada.email), "{done:?}");
    at_once("every token is refused", async || later.get(&path).await.status == 401).await;
    system.stop().await;
}
