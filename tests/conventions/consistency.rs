//! Reading one's own writes with a `Consistency-Token`.

use reqwest::Method;
use serde_json::json;

use super::{get_when_available, problem};
use crate::support::Person;

pub(super) async fn consistency(ada: &Person) {
    let created = ada.post("/tasks", json!({"title": "now"})).await.expect(201);
    let token = created.header("consistency-token").to_owned();
    let read = async |token: &str, wait: &str| {
        let headers = [("Consistency-Token", token), ("Prefer", wait)];
        ada.try_send(Method::GET, "/tasks?limit=1", None, &headers).await.unwrap()
    };
    let headers = [("Consistency-Token", token.as_str()), ("Prefer", "wait=5")];
    let shown = get_when_available(ada, "/tasks?limit=1", &headers).await;
    assert_eq!(shown.body["items"][0]["id"], created.body["id"]);
    let (subject, position) = token.split_once('-').unwrap();
    let future = format!("{subject}-{}", position.parse::<u64>().unwrap() + 1_000_000);
    let answer = read(&future, "wait=0").await;
    problem(&answer, 503, "projection-behind");
    assert!(!answer.header("retry-after").is_empty());
    problem(&read("nonsense", "wait=0").await, 400, "bad-parameter");
}
