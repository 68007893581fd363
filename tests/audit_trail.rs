//! The audit trail of the running system, over HTTP and with the operator's tool.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Deployment, Person, System};

// The runtime has more than one thread, since waiting for a command blocks one, and connections between the command
// and its servers run through others.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_audit_trail() {
    audit_trail(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_trail_on_postgres_and_rabbitmq() {
    audit_trail(Deployment::Servers).await;
}

fn log(system: &System, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["audit", "log", "--format", "json"];
    all.extend(arguments);
    let output = system.tool(&all).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn audit_trail(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let commands = json!({"commands": [
        {"op": "create", "title": "One"}, {"op": "create", "title": "Two"},
    ]});
    let batch = ada.post("/tasks/batch", commands).await.expect(200);
    let request = batch.header("x-request-id").to_owned();
    bob.post("/tasks", json!({"title": "Three"})).await.expect(201);

    let mine = ada.get("/audit/events?type=task.created").await.expect(200).body;
    let items = mine["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|item| item["correlation_id"] == request.as_str()));
    let all = ada.get("/audit/events").await.expect(200).body;
    assert!(all["items"].as_array().unwrap().iter().any(|item| item["type"] == "account.registered"));

    // The command shows everything, and the same with the same filters.
    system.read_models_equal_the_log().await;
    let created = log(&system, &["--type", "task.created"]);
    assert_eq!(created.len(), 3);
    let newest_first: Vec<_> = items.iter().rev().cloned().collect();
    assert_eq!(log(&system, &["--correlation-id", &request]), newest_first);
    let position = created[1]["position"].to_string();
    assert_eq!(log(&system, &["--same-request", &position]), newest_first);
    assert_eq!(log(&system, &["-n", "1", "--type", "task.created"]), created[2..]);
    let csv = system.tool(&["audit", "log", "--format", "csv", "-n", "2"]).output().unwrap();
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert!(csv.starts_with("position,recorded_at,type,") && csv.lines().count() == 3, "{csv}");
    let table = system.tool(&["audit", "log"]).output().unwrap();
    assert!(String::from_utf8(table.stdout).unwrap().contains("task.created"));
    assert_eq!(system.tool(&["audit", "log", "--from", "soon"]).output().unwrap().status.code(), Some(2));
    assert_eq!(
        system.tool(&["audit", "log", "--same-request", "999999"]).output().unwrap().status.code(),
        Some(1)
    );

    let mut following = system
        .tool(&["audit", "log", "--follow", "--format", "json", "-n", "1", "--type", "task.created"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let lines = BufReader::new(following.stdout.take().unwrap()).lines();
    tokio::task::spawn_blocking(move || {
        for line in lines.map_while(Result::ok) {
            let entry: Value = serde_json::from_str(&line).unwrap();
            let _ = tell.send(entry["stream"].clone());
        }
    });
    let mut next = async || tokio::time::timeout(Duration::from_secs(30), told.recv()).await.unwrap();
    // `--follow` has begun once earlier events are printed.
    assert_eq!(next().await, Some(created[2]["stream"].clone()));
    for title in ["Four", "Five"] {
        let task = ada.post("/tasks", json!({"title": title})).await.expect(201).body;
        let stream = format!("task-{}", task["id"].as_str().unwrap());
        assert_eq!(next().await, Some(json!(stream)));
    }
    following.kill().unwrap();
    following.wait().unwrap();
    system.stop().await;
}
