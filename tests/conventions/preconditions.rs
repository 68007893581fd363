//! The conditions `If-Match` and `If-None-Match`.

use reqwest::Method;
use serde_json::{Value, json};

use super::problem;
use crate::support::Person;

pub(super) async fn preconditions(ada: &Person) {
    let task = ada.post("/tasks", json!({"title": "precious"})).await.expect(201);
    let path = format!("/tasks/{}", task.body["id"].as_str().unwrap());
    let change = |title: &str| Some(json!({"title": title}));
    let send = async |etag: &str, title: &str| {
        ada.try_send(Method::PATCH, &path, change(title), &[("If-Match", etag)]).await.unwrap()
    };
    send("\"1\"", "changed").await.expect(200);
    let answer = send("\"1\"", "lost update").await;
    problem(&answer, 412, "version-mismatch");
    assert_eq!(answer.header("etag"), "\"2\"");
    send("*", "changed again").await.expect(200);
    // No later read has to wait for the projection.
    ada.get("/tasks").await.expect(200);
    let fresh = ada.try_send(Method::GET, &path, None, &[("If-None-Match", "\"3\"")]).await.unwrap();
    assert_eq!((fresh.status.as_u16(), fresh.header("etag"), &fresh.body), (304, "\"3\"", &Value::Null));
    ada.try_send(Method::GET, &path, None, &[("If-None-Match", "\"2\"")]).await.unwrap().expect(200);
    // A request that is not about one task has no version to compare.
    let create = ("/tasks", json!({"title": "conditional"}), 201);
    let batch = json!({"commands": [{"op": "create", "title": "conditional"}]});
    let batch = ("/tasks/batch", batch, 200);
    let request_id = task.header("x-request-id").to_owned();
    let undo = ("/tasks/undo", json!({ "request_id": request_id }), 200);
    for (path, body, done) in [create, batch, undo] {
        let is_list = path == "/tasks";
        for (name, value, holds) in [
            ("If-Match", "\"1\"", false),
            ("If-Match", "*", is_list),
            ("If-None-Match", "*", !is_list),
            ("If-None-Match", "\"1\"", true),
        ] {
            let answer =
                ada.try_send(Method::POST, path, Some(body.clone()), &[(name, value)]).await.unwrap();
            match holds {
                true => assert_eq!(answer.status, done, "{path} {name}: {value}"),
                false => problem(&answer, 412, "version-mismatch"),
            }
        }
    }
}

/// Sends a condition that does not hold with every write of accounts, which all have no entity tag. None is carried
/// out, and a missing right and a missing target come before the condition.
pub(super) async fn writes_of_accounts(ada: &Person) {
    let document = include_str!("../../docs/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut refused = 0;
    for (path, operations) in paths.iter().filter(|(path, _)| path.starts_with("/auth/")) {
        for method in operations.as_object().unwrap().keys().filter(|name| *name != "get") {
            let method: Method = method.to_uppercase().parse().unwrap();
            let (status, code) = match path.as_str() {
                path if path.starts_with("/auth/users/") || path.starts_with("/auth/second-factor") => {
                    (403, "forbidden")
                }
                path if path.contains("{id}") => (404, "not-found"),
                _ => (412, "version-mismatch"),
            };
            let path = path.replace("{id}", &uuid::Uuid::now_v7().to_string());
            let condition = [("If-None-Match", "*")];
            let answer = ada.try_send(method, &path, None, &condition).await.unwrap();
            problem(&answer, status, code);
            refused += usize::from(status == 412);
        }
    }
    assert!(refused >= 15, "{refused}");
    ada.get("/auth/me").await.expect(200);
}
