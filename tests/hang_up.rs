//! People hang up at any moment. What they asked for is done all the same, once it was received.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Footing, Person, System, until};

/// From sending a request to hanging up, in milliseconds.
const MOMENTS: [u64; 6] = [0, 1, 3, 7, 15, 40];
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn embedded_commands_run_to_their_end() {
    commands_run_to_their_end(Footing::Embedded).await;
}

#[tokio::test]
async fn commands_run_to_their_end_on_postgres_and_rabbitmq() {
    commands_run_to_their_end(Footing::Servers).await;
}

async fn commands_run_to_their_end(footing: Footing) {
    let system = System::start(footing).await;
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        let ada = Person::join(&system.base, &format!("ada{round}")).await;
        tasks(&ada, moment).await;
        account(&ada, moment).await;
    }
    half_closed(&system).await;
    system.stop().await;
}

/// Every command on tasks, one after the other.
async fn tasks(ada: &Person, moment: u64) {
    hang_up(
        ada,
        moment,
        Method::POST,
        "/tasks",
        Some(json!({"title": "first"})),
    )
    .await;
    let batch = json!({"commands": [{"op": "create", "title": "second"}]});
    hang_up(ada, moment, Method::POST, "/tasks/batch", Some(batch)).await;
    until("both tasks are there", PATIENCE, async || {
        ada.get("/tasks").await.body["items"].as_array().map(Vec::len) == Some(2)
    })
    .await;
    let items = ada.get("/tasks").await.expect(200).body["items"].clone();
    let path = format!("/tasks/{}", items[0]["id"].as_str().unwrap());
    hang_up(
        ada,
        moment,
        Method::PATCH,
        &path,
        Some(json!({"title": "renamed"})),
    )
    .await;
    becomes(ada, &path, "title", json!("renamed")).await;
    for (verb, status) in [
        ("start", "in_progress"),
        ("complete", "done"),
        ("reopen", "open"),
        ("cancel", "cancelled"),
    ] {
        hang_up(ada, moment, Method::POST, &format!("{path}/{verb}"), None).await;
        becomes(ada, &path, "status", json!(status)).await;
    }
    hang_up(ada, moment, Method::DELETE, &path, None).await;
    until("it is in the trash", PATIENCE, async || {
        ada.get(&path).await.status == 404
    })
    .await;
    hang_up(ada, moment, Method::POST, &format!("{path}/restore"), None).await;
    becomes(ada, &path, "status", json!("cancelled")).await;
}

/// Every command on an account, the last of which end it.
async fn account(ada: &Person, moment: u64) {
    hang_up(
        ada,
        moment,
        Method::PATCH,
        "/auth/me",
        Some(json!({"display_name": "Ada L."})),
    )
    .await;
    until("the name is changed", PATIENCE, async || {
        ada.get("/auth/me").await.body["user"]["display_name"] == "Ada L."
    })
    .await;
    let mut other = ada.clone();
    other.log_in().await;
    hang_up(&other, moment, Method::POST, "/auth/logout", None).await;
    until("the session has ended", PATIENCE, async || {
        other.get("/auth/me").await.status == 401
    })
    .await;
    other.log_in().await;
    hang_up(ada, moment, Method::POST, "/auth/logout-all", None).await;
    for session in [ada, &other] {
        until("every session has ended", PATIENCE, async || {
            session.get("/auth/me").await.status == 401
        })
        .await;
    }
}

async fn becomes(ada: &Person, path: &str, field: &str, value: Value) {
    until(&format!("{field} is {value}"), PATIENCE, async || {
        ada.get(path).await.body[field] == value
    })
    .await;
}

/// The bytes of a request.
fn bytes(person: &Person, method: &Method, path: &str, body: Option<Value>) -> String {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let content_type = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
        person.token,
        body.len()
    )
}

async fn hang_up(person: &Person, moment: u64, method: Method, path: &str, body: Option<Value>) {
    let mut stream = TcpStream::connect(person.base.trim_start_matches("http://"))
        .await
        .unwrap();
    stream
        .write_all(bytes(person, &method, path, body).as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(moment)).await;
}

async fn half_closed(system: &System) {
    let ada = Person::join(&system.base, "half-closed").await;
    for (method, path, body, status) in [
        (Method::POST, "/tasks", Some(json!({"title": "a"})), "201"),
        (Method::GET, "/tasks", None, "200"),
        (
            Method::PATCH,
            "/auth/me",
            Some(json!({"display_name": "b"})),
            "200",
        ),
        (Method::POST, "/auth/logout", None, "204"),
    ] {
        let mut stream = TcpStream::connect(ada.base.trim_start_matches("http://"))
            .await
            .unwrap();
        let request = bytes(&ada, &method, path, body);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{method} {path}: {answer}"
        );
    }
}
