//! Values in bodies and query strings that are refused, and how the answer names each of them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::problem;
use crate::support::Person;

pub(super) async fn validation(ada: &Person) {
    let answer = ada
        .post(
            "/tasks",
            json!({
                "title": " ",
                "priority": "extreme",
                "due": "tomorrow",
                "tags": ["x".repeat(51), 7, "a", "a", ""],
                "colour": "red",
            }),
        )
        .await;
    problem(&answer, 422, "validation-failed");
    let errors = answer.body["errors"].as_array().unwrap();
    let mut pointers: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    pointers.dedup();
    let expected = ["/colour", "/due", "/priority", "/tags/0", "/tags/1", "/tags/3", "/tags/4", "/title"];
    assert_eq!(pointers, expected, "{errors:?}");
    assert!(errors.iter().all(|error| error["code"].is_string() && error["detail"].is_string()));

    for (body, pointer) in [
        (json!({}), "/title"),
        (json!({"title": null}), "/title"),
        (json!({"title": 1}), "/title"),
        (json!({"title": "x".repeat(201)}), "/title"),
        (json!({"title": "a\nb"}), "/title"),
        (json!({"title": "a", "description": "x".repeat(10_001)}), "/description"),
        (json!({"title": "a", "tags": vec!["x"; 21]}), "/tags"),
        (json!({"title": "a", "due": "1969-12-31"}), "/due"),
        (json!({"title": "a", "due": "2026-02-30"}), "/due"),
    ] {
        let answer = ada.post("/tasks", body.clone()).await;
        problem(&answer, 422, "validation-failed");
        let pointer_found = answer.body["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer_found.starts_with(pointer), "{body}: {pointer_found}");
    }
    let answer = ada
        .post("/tasks", json!({"title": "日".repeat(200), "due": "9999-12-31T23:59:59Z"}))
        .await
        .expect(201);
    assert_eq!(answer.body["due"], "9999-12-31T23:59:59Z");
    let path = format!("/tasks/{}", answer.body["id"].as_str().unwrap());
    for field in ["title", "priority", "status"] {
        problem(&ada.patch(&path, json!({field: null})).await, 422, "validation-failed");
    }
    problem(&ada.patch(&path, json!({"title": "ok", "nope": 1})).await, 422, "validation-failed");
    let cleared = ada.patch(&path, json!({"due": null, "description": null, "tags": null})).await.expect(200);
    assert_eq!((&cleared.body["due"], &cleared.body["tags"]), (&Value::Null, &json!([])));
    let same = ada.patch(&path, json!({})).await.expect(200);
    assert_eq!(same.body, cleared.body, "a change that changes nothing appends nothing");
    ada.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    problem(&ada.post(&format!("{path}/complete"), json!({})).await, 409, "illegal-transition");
    ada.delete(&path).await.expect(204);
    ada.delete(&path).await.expect(204);
    problem(&ada.post(&format!("{path}/complete"), json!({})).await, 404, "not-found");
}

pub(super) async fn parameters(ada: &Person) {
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "sort=colour",
        "status=lost",
        "priority=max",
        "due_before=soon",
        "overdue=maybe",
        "count=2",
        "deleted=x",
        "colour=red",
        "limit=1&limit=2",
    ] {
        problem(&ada.get(&format!("/tasks?{query}")).await, 400, "bad-parameter");
    }
    problem(&ada.get("/tasks?cursor=nonsense").await, 400, "bad-cursor");
    let page = ada.get("/tasks?limit=1").await.expect(200);
    let cursor = page.body["next_cursor"].as_str().unwrap();
    assert!(page.header("link").ends_with("rel=\"next\""), "{:?}", page.headers);
    ada.get(&format!("/tasks?limit=1&cursor={cursor}")).await.expect(200);
    problem(&ada.get(&format!("/tasks?sort=title&cursor={cursor}")).await, 400, "bad-cursor");
    long_queries(ada).await;
}

async fn long_queries(ada: &Person) {
    let title: String = ('\u{1f300}'..).take(200).collect();
    ada.post("/tasks", json!({ "title": title })).await.expect(201);
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let chars: Vec<char> = title.chars().collect();
    // These are eight different words of 24 characters.
    let words: Vec<String> = chars.chunks(24).take(8).map(String::from_iter).collect();
    for q in [encoded(&title), encoded(&words.join(" "))] {
        assert!(q.len() >= 2_300, "{}", q.len());
        let found = ada.get(&format!("/tasks?q={q}")).await.expect(200);
        assert_eq!(found.body["items"][0]["title"], title);
        assert_eq!(found.body["items"].as_array().unwrap().len(), 1);
    }
    // The query string has the maximum length, and repeats a parameter that may be repeated.
    let query = format!("{}limit=1&q=", "status=done,open&".repeat(481));
    let query = format!("{query}{}", "x".repeat(8 * 1024 - query.len()));
    ada.get(&format!("/tasks?{query}")).await.expect(200);
}
