//! `POST /tasks/{id}/start`, `/complete`, `/cancel`, `/reopen`, `/restore` and `DELETE /tasks/{id}`

use axum::body::Body;
use serde_json::{Value, json};

use super::support::{App, Stage, user};

const VERBS: [&str; 5] = ["start", "complete", "cancel", "reopen", "restore"];

#[tokio::test]
async fn every_status_meets_every_verb() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let verbs = [("reopen", "open"), ("start", "in_progress"), ("complete", "done"), ("cancel", "cancelled")];
    for (setup, from) in verbs {
        for (verb, to) in verbs {
            let path = app.task().await;
            let before = app.post(&format!("{path}/{setup}")).await;
            let version = before.body["version"].as_u64().unwrap();
            let reply = app.post(&format!("{path}/{verb}")).await;
            if from == to {
                reply.is_task(200, version);
                assert_eq!(reply.body, before.body);
            } else if matches!(from, "done" | "cancelled") && to != "open" {
                reply.is_problem(409, "illegal-transition");
                assert_eq!(reply.token(), before.token());
            } else {
                reply.is_task(200, version + 1);
                assert_eq!(reply.body["status"], to);
                assert_eq!(reply.body["completed_at"] != Value::Null, to == "done");
            }
        }
    }
}

#[tokio::test]
async fn a_body_is_not_needed_and_an_empty_object_is_fine() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    for verb in VERBS {
        let request = || app.post(&format!("{path}/{verb}"));
        let version =
            app.patch(&path).json(json!({"status": "open"})).await.body["version"].as_u64().unwrap();
        let expected = if matches!(verb, "reopen" | "restore") { version } else { version + 1 };
        let chunked =
            || Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::new())]));
        request().await.is_task(200, expected);
        request().header("content-type", "application/json").await.is_task(200, expected);
        request().header("content-type", "text/plain").await.is_task(200, expected);
        request().raw(chunked()).await.is_task(200, expected);
        request().json(json!({})).await.is_task(200, expected);
        request().json(json!({"why": 1})).await.is_invalid(&[("/why", "unknown-field")]);
        request().header("content-type", "application/json").raw("{").await.is_problem(400, "malformed-json");
        request()
            .header("content-type", "text/plain")
            .raw("{}")
            .await
            .is_problem(415, "unsupported-media-type");
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
        request()
            .header("content-type", "application/json")
            .raw(large)
            .await
            .is_problem(413, "body-too-large");
    }
}

#[tokio::test]
async fn a_deleted_task_is_gone_until_it_is_restored() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    app.post(&format!("{path}/complete")).await.is_task(200, 2);
    let deleted = app.delete(&path).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(deleted.text, "");
    let again = app.delete(&path).await;
    assert_eq!(again.status, 204);
    assert_eq!(again.token(), deleted.token());
    assert_eq!(app.events(&path).await.len(), 3);

    for verb in ["start", "complete", "cancel", "reopen"] {
        app.post(&format!("{path}/{verb}")).await.is_problem(404, "not-found");
    }
    app.patch(&path).json(json!({"title": "a"})).await.is_problem(404, "not-found");

    let restored = app.post(&format!("{path}/restore")).await;
    restored.is_task(200, 4);
    assert_eq!(restored.body["status"], "done");
    assert_eq!(restored.body["deleted_at"], Value::Null);
    let again = app.post(&format!("{path}/restore")).await;
    again.is_task(200, 4);
    assert_eq!(again.body, restored.body);
}

#[tokio::test]
async fn someone_elses_task_and_no_task_look_the_same() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let own = app.task().await;
    let braced = format!("/tasks/%7B{}%7D", own.strip_prefix("/tasks/").unwrap());
    let missing = format!("/tasks/{}", user(9));
    let simple = own.replace('-', "");
    for path in [own.as_str(), missing.as_str(), "/tasks/1", "/tasks/%FF", braced.as_str(), simple.as_str()] {
        let mut replies = vec![
            app.patch(path).by(user(2)).if_match("\"9\"").json(json!({"title": "a"})).await,
            app.delete(path).by(user(2)).await,
        ];
        for verb in VERBS {
            replies.push(app.post(&format!("{path}/{verb}")).by(user(2)).await);
        }
        for mut reply in replies {
            reply.is_problem(404, "not-found");
            assert!(!reply.headers.contains_key("etag"));
            assert!(!reply.headers.contains_key("consistency-token"));
            reply.body.as_object_mut().unwrap().remove("request_id");
            assert_eq!(
                reply.body,
                json!({
                    "type": "/problems/not-found",
                    "title": "There is nothing here",
                    "status": 404,
                    "detail": "It is not there, or it is someone else's.",
                    "code": "not-found",
                })
            );
        }
    }
    assert_eq!(app.events(&own).await.len(), 1);
}

#[tokio::test]
async fn ids_are_the_same_in_upper_case() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let upper = format!("/tasks/{}", path.strip_prefix("/tasks/").unwrap().to_uppercase());
    app.post(&format!("{upper}/start")).await.is_task(200, 2);
}
