//! The header `Idempotency-Key`.

use reqwest::Method;
use serde_json::json;

use super::problem;
use crate::support::Person;

pub(super) async fn idempotency(ada: &Person) {
    let send = async |key: &str, title: &str| {
        ada.try_send(Method::POST, "/tasks", Some(json!({"title": title})), &[("Idempotency-Key", key)])
            .await
            .unwrap()
    };
    let key = uuid::Uuid::new_v4().to_string();
    let first = send(&key, "once").await.expect(201);
    let again = send(&key, "once").await.expect(201);
    assert_eq!(first.body, again.body);
    assert_eq!(
        (first.header("etag"), first.header("location")),
        (again.header("etag"), again.header("location"))
    );
    problem(&send(&key, "twice").await, 422, "idempotency-key-reused");

    let key = uuid::Uuid::new_v4().to_string();
    let twins = futures::future::join_all((0..8).map(|_| send(&key, "race"))).await;
    for twin in twins {
        assert_eq!(twin.expect(201).body["title"], "race");
    }
    let page = ada.get("/tasks?q=race&count=true").await.expect(200);
    assert_eq!(page.body["total"], 1, "one effect");
    assert_eq!(send(&"k".repeat(256), "x").await.status, 400);
}
