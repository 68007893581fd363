//! `POST /tasks`

use serde_json::{Value, json};

use super::support::{App, Stage, user};

#[tokio::test]
async fn makes_a_task() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let reply = app
        .post("/tasks")
        .header("x-request-id", "request-7")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .json(json!({
            "title": "  Buy milk ", "description": "two\nlitres", "priority": "high", "due": "2026-12-01",
            "tags": ["shop", " home "],
        }))
        .await;
    reply.is_task(201, 1);
    assert_eq!(reply.header("x-request-id"), "request-7");
    assert_eq!(reply.header("location"), format!("/tasks/{}", reply.body["id"].as_str().unwrap()));
    assert_eq!(reply.body["title"], "Buy milk");
    assert_eq!(reply.body["description"], "two\nlitres");
    assert_eq!(reply.body["status"], "open");
    assert_eq!(reply.body["priority"], "high");
    assert_eq!(reply.body["due"], "2026-12-01");
    assert_eq!(reply.body["tags"], json!(["shop", "home"]));
    assert_eq!(reply.body["created_at"], reply.body["updated_at"]);
    assert_eq!(reply.body["completed_at"], Value::Null);
    assert_eq!(reply.body["deleted_at"], Value::Null);

    let events = app.events(reply.header("location")).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kind, "task.created");
    assert_eq!(events[0].position, reply.token().position);
    assert_eq!(events[0].recorded_at.to_string(), reply.body["created_at"].as_str().unwrap());
    let metadata = &events[0].metadata;
    assert_eq!(metadata.subject, user(1));
    assert_eq!(metadata.actor, events::Actor::User(user(1)));
    assert_eq!(metadata.correlation_id, "request-7");
    assert!(metadata.traceparent.as_deref().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!(metadata.idempotency_key, None);
}

#[tokio::test]
async fn a_title_is_enough() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    for body in [
        json!({"title": "a"}),
        json!({"title": "a", "description": null, "due": null, "tags": null}),
        json!({"title": "a", "tags": []}),
    ] {
        let reply = app.post("/tasks").json(body).await;
        reply.is_task(201, 1);
        assert_eq!(reply.body["description"], Value::Null);
        assert_eq!(reply.body["priority"], "normal");
        assert_eq!(reply.body["due"], Value::Null);
        assert_eq!(reply.body["tags"], json!([]));
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let reply = app
        .post("/tasks")
        .json(json!({
            "title": " ", "description": 1, "priority": "asap", "due": "tomorrow",
            "tags": ["a", "a", "", 1], "status": "done", "owner": "me",
        }))
        .await;
    reply.is_invalid(&[
        ("/title", "empty"),
        ("/description", "wrong-type"),
        ("/priority", "unknown-value"),
        ("/due", "malformed"),
        ("/tags/1", "repeated"),
        ("/tags/2", "empty"),
        ("/tags/3", "wrong-type"),
        ("/status", "unknown-field"),
        ("/owner", "unknown-field"),
    ]);
}

#[tokio::test]
async fn every_bound_holds() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let tags = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    for (field, good) in [
        ("title", json!("é".repeat(200))),
        ("title", json!("🦀")),
        ("description", json!("é".repeat(10_000))),
        ("description", json!("")),
        ("description", json!("a\r\n\tb")),
        ("due", json!("1970-01-01")),
        ("due", json!("9999-12-31T23:59:59.999999Z")),
        ("due", json!("2026-12-01T09:00:00+02:00")),
        ("tags", json!(tags(20))),
        ("tags", json!(["é".repeat(50)])),
        ("tags", json!(["Home", "home"])),
    ] {
        let mut body = json!({"title": "a"});
        body[field] = good;
        app.post("/tasks").json(body).await.is_task(201, 1);
    }
    for (field, bad, pointer, code) in [
        ("title", json!("é".repeat(201)), "/title", "too-long"),
        ("title", json!(""), "/title", "empty"),
        ("title", json!("a\nb"), "/title", "control-character"),
        ("title", json!("a\u{0}b"), "/title", "control-character"),
        ("title", json!("a\u{9f}b"), "/title", "control-character"),
        ("title", json!(null), "/title", "required"),
        ("title", json!(["a"]), "/title", "wrong-type"),
        ("description", json!("é".repeat(10_001)), "/description", "too-long"),
        ("description", json!("a\u{0}b"), "/description", "control-character"),
        ("priority", json!(null), "/priority", "not-nullable"),
        ("priority", json!(1), "/priority", "wrong-type"),
        ("priority", json!("High"), "/priority", "unknown-value"),
        ("due", json!("1969-12-31"), "/due", "malformed"),
        ("due", json!("2026-02-30"), "/due", "malformed"),
        ("due", json!("10000-01-01"), "/due", "malformed"),
        ("due", json!("2026-12-01T09:00:00"), "/due", "malformed"),
        ("due", json!("2026-12-01x09:00:00Z"), "/due", "malformed"),
        ("due", json!(20261201), "/due", "wrong-type"),
        ("tags", json!(tags(21)), "/tags", "too-many"),
        ("tags", json!("a"), "/tags", "wrong-type"),
        ("tags", json!({"a": 1}), "/tags", "wrong-type"),
        ("tags", json!(["a", "é".repeat(51)]), "/tags/1", "too-long"),
        ("tags", json!(["a", " "]), "/tags/1", "empty"),
        ("tags", json!(["a\tb"]), "/tags/0", "control-character"),
        ("tags", json!(["a", "b", " a"]), "/tags/2", "repeated"),
    ] {
        let mut body = json!({"title": "a"});
        body[field] = bad;
        app.post("/tasks").json(body).await.is_invalid(&[(pointer, code)]);
    }
    assert_eq!(app.store.head().await.unwrap(), 11);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let send = |content_type: &'static str, body: String| {
        app.post("/tasks").header("content-type", content_type).raw(body).send()
    };
    send("application/json", "{".into()).await.is_problem(400, "malformed-json");
    send("application/json", String::new()).await.is_problem(400, "malformed-json");
    send("application/json", "[]".into()).await.is_problem(422, "validation-failed");
    let deep = format!("{{\"title\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(send("application/json", deep).await.status, 400);
    let large = json!({"title": "a", "description": "x".repeat(70_000)}).to_string();
    send("application/json", large).await.is_problem(413, "body-too-large");
    let reply = send("text/plain", json!({"title": "a"}).to_string()).await;
    reply.is_problem(415, "unsupported-media-type");
    assert_eq!(reply.header("accept-post"), "application/json");
    let reply = send("application/merge-patch+json", json!({"title": "a"}).to_string()).await;
    assert_eq!(reply.status, 415);
    send("application/json; charset=utf-8", json!({"title": "a"}).to_string()).await.is_task(201, 1);
}
