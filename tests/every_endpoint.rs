//! Rules that hold for every endpoint of the contract.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Answer, Deployment, Person, System, until};

/// An operation of `docs/openapi.json`.
struct Operation {
    method: Method,
    path: String,
    /// An example of the body, if the operation takes one.
    body: Option<Value>,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document: Value = serde_json::from_str(include_str!("../docs/openapi.json")).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(|(method, operation)| Self {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                body: operation["requestBody"]["content"]["application/json"].get("example").cloned(),
            })
        });
        operations.collect()
    }

    fn path_of(&self, id: &str) -> String {
        self.path.replace("{id}", id).replace("{path}", "0/000")
    }

    async fn ask(&self, person: &Person, id: &str, query: &str) -> Answer {
        let path = format!("{}{query}", self.path_of(id));
        person.send(self.method.clone(), &path, self.body.clone()).await
    }
}

#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str, about: &str) {
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{about} {}", answer.body);
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(!detail.is_empty(), "{about} {}", answer.body);
}

#[tokio::test]
async fn embedded_endpoints_refuse_parameters_that_they_do_not_know() {
    let system = System::start(Deployment::Embedded).await;
    let root = system.join_admin().await;
    let id = Uuid::now_v7().to_string();
    for operation in Operation::all() {
        let about = format!("{} {}", operation.method, operation.path);
        let answer = operation.ask(&root, &id, "?colour=red").await;
        problem(&answer, 400, "bad-parameter", &about);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("colour"), "{about}: {detail}");
        // A question mark without parameters is accepted.
        if operation.path.starts_with("/health/") {
            until(&about, Duration::from_secs(30), async || {
                operation.ask(&root, &id, "?").await.status == 200
            })
            .await;
        }
    }
    system.stop().await;
}

#[tokio::test]
async fn embedded_endpoints_know_ids_in_their_hyphenated_form_only() {
    let system = System::start(Deployment::Embedded).await;
    let root = system.join_admin().await;
    let me = root.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let me: Uuid = me.as_str().unwrap().parse().unwrap();
    let task = root.post("/tasks", serde_json::json!({"title": "one"})).await;
    let task: Uuid = task.expect(201).body["id"].as_str().unwrap().parse().unwrap();
    for operation in Operation::all() {
        if !operation.path.contains("{id}") {
            continue;
        }
        let there = if operation.path.starts_with("/tasks") { task } else { me };
        for id in [
            there.simple().to_string(),
            there.urn().to_string(),
            format!("%7B{there}%7D"),
            "1".to_owned(),
            // No text at all.
            "%FF".to_owned(),
        ] {
            let about = format!("{} {} {id}", operation.method, operation.path);
            problem(&operation.ask(&root, &id, "").await, 404, "not-found", &about);
        }
    }
    root.get(&format!("/tasks/{task}")).await.expect(200);
    system.stop().await;
}

#[tokio::test]
async fn embedded_paths_name_the_methods_that_they_have() {
    let system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    let operations = Operation::all();
    for operation in &operations {
        let path = operation.path_of(&Uuid::now_v7().to_string());
        let answer = ada.send(Method::TRACE, &path, None).await;
        problem(&answer, 405, "method-not-allowed", &path);
        let allowed = answer.header("allow");
        assert!(
            allowed.split(", ").any(|name| name == operation.method.as_str()),
            "{} {path}: {allowed}",
            operation.method
        );
    }
    problem(&ada.get("/nowhere").await, 404, "not-found", "/nowhere");
    system.stop().await;
}

#[tokio::test]
async fn embedded_methods_that_a_path_does_not_have_are_refused_before_its_parameters() {
    let system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    let operations = Operation::all();
    let paths: BTreeSet<&str> = operations.iter().map(|operation| operation.path.as_str()).collect();
    let id = Uuid::now_v7().to_string();
    for path in paths {
        let its: Vec<&Operation> = operations.iter().filter(|operation| operation.path == path).collect();
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            if its.iter().any(|operation| operation.method == method) {
                continue;
            }
            let about = format!("{method} {path}");
            let asked = format!("{}?colour=red", its[0].path_of(&id));
            let answer = ada.send(method, &asked, None).await;
            problem(&answer, 405, "method-not-allowed", &about);
            let allowed = answer.header("allow");
            for operation in &its {
                let name = operation.method.as_str();
                assert!(allowed.split(", ").any(|one| one == name), "{about}: {allowed}");
            }
            let names_limits = !answer.header("ratelimit").is_empty();
            assert_ne!(names_limits, path.starts_with("/health/"), "{about}");
        }
    }
    system.stop().await;
}
