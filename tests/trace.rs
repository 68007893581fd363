//! One trace id connects a request in every role with the row that it changed.

use reqwest::Method;
use serde_json::json;

use crate::support::{Deployment, Person, Replica, Role, System, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// The lines of a log that contain the trace id and all of `words`.
fn lines(system: &System, replica: impl Into<Replica>, words: &[&str]) -> usize {
    let log = system.log_text(replica.into());
    let is_of_it = |line: &&str| line.contains(TRACE) && words.iter().all(|word| line.contains(word));
    log.lines().filter(is_of_it).count()
}

async fn one_trace_shows_it_all(deployment: Deployment, role: fn(Role) -> Role) {
    let mut system = System::prepared(deployment).await;
    system.set("TASKLEDGER_LOG", "info,projector=debug,auth=debug,access=debug");
    system.launch_all();
    system.ready().await;
    let ada = Person::join(&system.base, "ada").await;
    let body = Some(json!({"title": "Follow it"}));
    let headers = [("traceparent", TRACEPARENT)];
    let answer = ada.try_send(Method::POST, "/tasks", body, &headers).await;
    let answer = answer.unwrap().expect(201);
    let id = answer.body["id"].as_str().unwrap().to_owned();
    ada.get(&format!("/tasks/{id}")).await.expect(200);

    // Lines are written a moment after the answer.
    until("the request", TIMEOUT, async || lines(&system, role(Role::Gateway), &["gateway", "/tasks"]) > 0)
        .await;
    until("the command", TIMEOUT, async || {
        lines(&system, role(Role::CommandApi), &["command-api", "/tasks"]) > 0
    })
    .await;
    until("the projection", TIMEOUT, async || {
        lines(&system, role(Role::Projector), &["task.created", "projected"]) > 0
    })
    .await;
    until("the token check", TIMEOUT, async || lines(&system, role(Role::Auth), &["token was checked"]) > 0)
        .await;
    let output = system.tool(&["events", "show", &format!("task-{id}")]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains(TRACEPARENT), "the event: {shown}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_shows_request_command_event_and_projection_embedded() {
    one_trace_shows_it_all(Deployment::Embedded, |_| Role::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_shows_request_command_event_and_projection_on_postgres_and_rabbitmq() {
    one_trace_shows_it_all(Deployment::Servers, |role| role).await;
}
