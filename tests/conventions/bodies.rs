//! Which bodies are refused: other media types, text that is not JSON, and what is too large or too deep.

use reqwest::Method;
use serde_json::{Value, json};

use super::{problem, raw};
use crate::support::Person;

pub(super) async fn bodies(ada: &Person) {
    let json = Some("application/json");
    for body in ["", "{", "not json", "{\"title\":\"a\"} trailing", "{\"title\":\"\\ud800\"}"] {
        problem(&raw(ada, Method::POST, "/tasks", json, body).await, 400, "malformed-json");
    }
    problem(
        &raw(ada, Method::POST, "/tasks", json, &b"{\"title\":\"\xff\"}"[..]).await,
        400,
        "malformed-json",
    );
    let deep = format!("{{\"title\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(raw(ada, Method::POST, "/tasks", json, deep).await.status, 400);
    let large = format!("{{\"title\":\"a\",\"description\":\"{}\"}}", "x".repeat(70_000));
    problem(&raw(ada, Method::POST, "/tasks", json, large).await, 413, "body-too-large");
    let answer = raw(ada, Method::POST, "/tasks", Some("text/plain"), "{\"title\":\"a\"}").await;
    assert_eq!(answer.status, 415);
    assert!(answer.header("accept-post").contains("application/json"), "{:?}", answer.headers);
    let id =
        ada.post("/tasks", json!({"title": "a"})).await.expect(201).body["id"].as_str().unwrap().to_owned();
    let answer = raw(ada, Method::PATCH, &format!("/tasks/{id}"), Some("text/plain"), "{}").await;
    assert_eq!(answer.status, 415);
    assert!(answer.header("accept-patch").contains("application/merge-patch+json"), "{:?}", answer.headers);
    raw(
        ada,
        Method::PATCH,
        &format!("/tasks/{id}"),
        Some("application/merge-patch+json"),
        "{\"title\":\"b\"}",
    )
    .await
    .expect(200);
    raw(ada, Method::POST, "/tasks", Some("application/json; charset=utf-8"), "{\"title\":\"b\"}")
        .await
        .expect(201);
}

/// Sends a body that is too large to every endpoint, also to those that take no body.
pub(super) async fn every_body_has_a_bound(ada: &Person) {
    let document = include_str!("../../docs/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let mut bare = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            if !matches!(method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE") || path == "/tasks/batch" {
                continue;
            }
            let path = path.replace("{id}", &uuid::Uuid::now_v7().to_string());
            let json = Some("application/json");
            let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
            let answer = raw(ada, method.clone(), &path, json, large).await;
            assert_eq!(answer.code(), "body-too-large", "{method} {path}: {answer:?}");
            if operation["requestBody"]["required"] == true {
                continue;
            }
            bare += 1;
            // Endpoints for admins check the role first.
            let is_for_admins = path.starts_with("/auth/users/");
            for (media_type, text, code) in [
                ("application/json", "{\"nothing\":1}", "validation-failed"),
                ("text/plain", "nothing", "unsupported-media-type"),
            ] {
                let answer = raw(ada, method.clone(), &path, Some(media_type), text).await;
                let expected = if is_for_admins { "forbidden" } else { code };
                assert_eq!(answer.code(), expected, "{method} {path}: {answer:?}");
            }
        }
    }
    assert!(bare >= 12, "{bare}");
}
