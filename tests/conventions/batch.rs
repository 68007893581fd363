//! Several commands in one request.

use reqwest::Method;
use serde_json::{Value, json};

use super::{get_when_available, problem, raw};
use crate::support::Person;

pub(super) async fn batch(ada: &Person) {
    let task = ada.post("/tasks", json!({"title": "one of many"})).await.expect(201);
    let id = task.body["id"].as_str().unwrap();
    let body = json!({"commands": [
        {"op": "create", "title": "made in a batch", "tags": ["x"]},
        {"op": "update", "id": id, "title": "changed in a batch", "if_match": "\"1\""},
        {"op": "update", "id": id, "title": "too late", "if_match": 1},
        {"op": "complete", "id": id},
        {"op": "create", "title": "x".repeat(201)},
        {"op": "fly", "id": id},
        {"op": "start", "id": id},
        {"op": "delete", "id": id},
    ]});
    let key = uuid::Uuid::new_v4().to_string();
    let send = async || {
        let headers = [("Idempotency-Key", key.as_str())];
        ada.try_send(Method::POST, "/tasks/batch", Some(body.clone()), &headers).await.unwrap().expect(200)
    };
    let answer = send().await;
    let results = answer.body["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 200, 412, 200, 422, 422, 409, 204], "{}", answer.body);
    let pointer = |index: usize| &results[index]["problem"]["errors"][0]["pointer"];
    assert_eq!((pointer(4), pointer(5)), (&json!("/commands/4/title"), &json!("/commands/5/op")));
    assert_eq!(results[2]["problem"]["code"], "version-mismatch");
    assert_eq!(results[3]["task"]["status"], "done");
    assert_eq!(results[6]["problem"]["request_id"], answer.header("x-request-id"));
    assert_eq!(results[7], json!({"status": 204}));
    assert_eq!(send().await.body, answer.body, "no second effect");

    let headers = [("Consistency-Token", answer.header("consistency-token")), ("Prefer", "wait=5")];
    let page = get_when_available(ada, "/tasks?q=batch&count=true", &headers).await;
    assert_eq!(page.body["total"], 1);
    assert_eq!(page.body["items"][0], results[0]["task"]);

    for commands in [json!([]), json!({}), json!(vec![json!({"op": "create", "title": "a"}); 101])] {
        let answer = ada.post("/tasks/batch", json!({"commands": commands})).await;
        problem(&answer, 422, "validation-failed");
        assert_eq!(answer.body["errors"][0]["pointer"], "/commands");
    }
    // Each part may have many errors.
    let wrong: serde_json::Map<String, Value> =
        (0..90).map(|n| (format!("\u{1}{n:0>90}"), json!(0))).collect();
    let mut wrong = Value::Object(wrong);
    wrong["op"] = json!("create");
    let answer = ada.post("/tasks/batch", json!({"commands": vec![wrong; 100]})).await.expect(200);
    assert!(answer.body.to_string().len() <= 64 * 1024);
    for result in answer.body["results"].as_array().unwrap() {
        assert_eq!(result["status"], 422);
        let errors = result["problem"]["errors"].as_array().unwrap();
        assert_eq!(errors.last().unwrap()["code"], "more-errors");
    }

    let large = vec![json!({"op": "create", "title": "a", "description": "x".repeat(9_000)}); 100];
    ada.post("/tasks/batch", json!({"commands": large})).await.expect(200);
    let answer =
        raw(ada, Method::POST, "/tasks/batch", Some("application/json"), " ".repeat((1 << 20) + 1)).await;
    problem(&answer, 413, "body-too-large");
}
