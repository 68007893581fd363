//! `PATCH /tasks/{id}`

use serde_json::{Value, json};

use super::support::{App, Stage, user};

#[tokio::test]
async fn changes_what_is_given_and_keeps_the_rest() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app
        .post("/tasks")
        .json(json!({"title": "a", "description": "b", "due": "2026-12-01", "tags": ["c"]}))
        .await
        .header("location")
        .to_owned();
    let reply = app.patch(&path).json(json!({"title": " A ", "priority": "low"})).await;
    reply.is_task(200, 3);
    assert_eq!(reply.body["title"], "A");
    assert_eq!(reply.body["priority"], "low");
    assert_eq!(reply.body["description"], "b");
    assert_eq!(reply.body["due"], "2026-12-01");
    assert_eq!(reply.body["tags"], json!(["c"]));

    let reply = app.patch(&path).json(json!({"description": null, "due": null, "tags": null})).await;
    reply.is_task(200, 6);
    assert_eq!(reply.body["description"], Value::Null);
    assert_eq!(reply.body["due"], Value::Null);
    assert_eq!(reply.body["tags"], json!([]));
    assert_eq!(reply.body["title"], "A");
}

#[tokio::test]
async fn several_fields_are_several_events_of_one_command() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let reply = app
        .patch(&path)
        .header("content-type", "application/merge-patch+json")
        .raw(json!({"title": "A", "description": "", "tags": ["x"], "status": "done"}).to_string())
        .await;
    reply.is_task(200, 5);
    assert_eq!(reply.body["status"], "done");
    assert_eq!(reply.body["completed_at"], reply.body["updated_at"]);
    assert_eq!(reply.body["description"], "");
    let events = app.events(&path).await;
    let kinds: Vec<_> = events[1..].iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["task.renamed", "task.described", "task.tagged", "task.completed"]);
    assert_eq!(events[4].position, reply.token().position);
    for event in &events[2..] {
        assert_eq!(event.metadata.causation_id, events[1].metadata.causation_id);
        assert_eq!(event.recorded_at, events[1].recorded_at);
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_appends_nothing() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let created = app.post("/tasks").json(json!({"title": "a", "tags": ["x"]})).await;
    let path = created.header("location").to_owned();
    for body in [json!({}), json!({"title": "a", "tags": ["x"], "status": "open", "due": null})] {
        let reply = app.patch(&path).json(body).await;
        reply.is_task(200, 1);
        assert_eq!(reply.body, created.body);
        assert_eq!(reply.token(), created.token());
    }
    assert_eq!(app.events(&path).await.len(), 1);
}

#[tokio::test]
async fn null_is_no_value_for_what_cannot_be_cleared() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let reply =
        app.patch(&path).json(json!({"title": null, "priority": null, "status": null, "version": 7})).await;
    reply.is_invalid(&[
        ("/title", "not-nullable"),
        ("/priority", "not-nullable"),
        ("/status", "not-nullable"),
        ("/version", "unknown-field"),
    ]);
}

#[tokio::test]
async fn a_status_follows_the_table_and_takes_the_rest_down_with_it() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    app.patch(&path).json(json!({"status": "cancelled"})).await.is_task(200, 2);
    let reply = app.patch(&path).json(json!({"title": "A", "status": "done"})).await;
    reply.is_problem(409, "illegal-transition");
    assert_eq!(app.events(&path).await.len(), 2);
    app.patch(&path).json(json!({"status": "archived"})).await.is_invalid(&[("/status", "unknown-value")]);
    app.patch(&path).json(json!({"status": "open"})).await.is_task(200, 3);
}

#[tokio::test]
async fn the_body_is_checked_before_the_task_is_looked_for() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let missing = format!("/tasks/{}", user(9));
    for path in [missing.as_str(), "/tasks/not-a-uuid"] {
        app.patch(path).json(json!({"title": ""})).await.is_invalid(&[("/title", "empty")]);
        app.patch(path).json(json!({"title": "a"})).await.is_problem(404, "not-found");
        let reply = app.patch(path).header("content-type", "text/plain").raw("a").await;
        reply.is_problem(415, "unsupported-media-type");
        assert_eq!(reply.header("accept-patch"), "application/merge-patch+json, application/json");
    }
}
