//! Unknown paths and methods, and paths with percent-encoded characters.

use reqwest::Method;

use super::problem;
use crate::support::Person;

pub(super) async fn paths(ada: &Person) {
    problem(&ada.get("/nowhere").await, 404, "not-found");
    problem(&ada.get("/tasks/not-an-id").await, 404, "not-found");
    problem(&ada.get(&format!("/tasks/{}", uuid::Uuid::now_v7())).await, 404, "not-found");
    for path in ["/%74asks", "/tas%6bs", "/%61uth/me", "/%68ealth/live"] {
        ada.get(path).await.expect(200);
    }
    for path in ["/tasks%2Fsummary", "/auth%2fme", "/tasks%00", "/tasks%2574", "/%6Detrics"] {
        problem(&ada.get(path).await, 404, "not-found");
    }
    for (method, path, allowed) in [
        (Method::PUT, "/tasks", "POST"),
        (Method::DELETE, "/tasks", "GET"),
        (Method::PUT, "/auth/login", "POST"),
    ] {
        let answer = ada.send(method.clone(), path, None).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").contains(allowed), "{method} {path}: {:?}", answer.headers);
    }
}
