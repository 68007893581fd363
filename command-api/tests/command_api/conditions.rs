//! `If-Match`, `If-None-Match`, and time.

use events::Timestamp;
use serde_json::json;

use super::support::{App, Stage, user};

#[tokio::test]
async fn a_stale_version_is_refused_with_the_current_one() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    app.patch(&path).if_match("\"1\"").json(json!({"title": "a"})).await.is_task(200, 2);
    for request in [
        app.patch(&path).json(json!({"title": "b"})),
        app.patch(&path).json(json!({})),
        app.post(&format!("{path}/start")),
        app.post(&format!("{path}/restore")),
        app.delete(&path),
    ] {
        let reply = request.if_match("\"1\"").await;
        reply.is_problem(412, "version-mismatch");
        assert_eq!(reply.header("etag"), "\"2\"");
        assert_eq!(reply.token().position, 2);
    }
    assert_eq!(app.events(&path).await.len(), 2);
}

#[tokio::test]
async fn what_matches_goes_ahead() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    app.post(&format!("{path}/start")).if_match("*").await.is_task(200, 2);
    app.post(&format!("{path}/complete")).if_match("\"7\", \"2\"").await.is_task(200, 3);
    app.post(&format!("{path}/complete")).if_match("W/\"3\"").await.is_problem(412, "version-mismatch");
    app.post(&format!("{path}/start")).if_match("\"3\"").await.is_problem(409, "illegal-transition");
    app.post(&format!("{path}/start")).if_match("\"2\"").await.is_problem(412, "version-mismatch");
    assert_eq!(app.delete(&path).if_match("\"3\"").await.status, 204);
    app.post(&format!("{path}/start")).if_match("\"3\"").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn nothing_is_done_to_a_version_that_if_none_match_names() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    app.post(&format!("{path}/start")).await.is_task(200, 2);
    for named in ["*", "\"2\"", "W/\"2\"", "\"7\", W/\"2\""] {
        for request in [
            app.patch(&path).json(json!({"title": "b"})),
            app.patch(&path).json(json!({})),
            app.delete(&path),
            app.post(&format!("{path}/start")),
            app.post(&format!("{path}/complete")),
            app.post(&format!("{path}/cancel")),
            app.post(&format!("{path}/reopen")),
            app.post(&format!("{path}/restore")),
        ] {
            let reply = request.if_none_match(named).await;
            reply.is_problem(412, "version-mismatch");
            assert_eq!(reply.header("etag"), "\"2\"", "{named}");
        }
    }
    assert_eq!(app.events(&path).await.len(), 2);
}

#[tokio::test]
async fn versions_that_if_none_match_does_not_name_are_changed() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let change = |title: &str| app.patch(&path).json(json!({"title": title}));
    change("b").if_none_match("\"2\", \"x\"").await.is_task(200, 2);
    // Both conditions hold, or nothing is done.
    change("c").if_match("\"2\"").if_none_match("\"1\"").await.is_task(200, 3);
    change("d").if_match("\"3\"").if_none_match("\"3\"").await.is_problem(412, "version-mismatch");
    change("d").if_match("\"1\"").if_none_match("\"2\"").await.is_problem(412, "version-mismatch");
    let missing = format!("/tasks/{}", user(9));
    app.delete(&missing).if_none_match("*").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn another_if_none_match_is_another_request_for_its_key() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let change = || app.patch(&path).json(json!({"title": "b"})).key("k");
    change().if_none_match("\"9\"").await.is_task(200, 2);
    change().if_none_match("\"9\"").await.is_task(200, 2);
    change().await.is_problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn a_malformed_condition_is_a_bad_parameter() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    for bad in ["1", "\"1", ""] {
        for request in [app.delete(&path).if_match(bad), app.delete(&path).if_none_match(bad)] {
            request.await.is_problem(400, "bad-parameter");
        }
    }
    let missing = format!("/tasks/{}", user(9));
    app.delete(&missing).if_match("\"1\"").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn a_tasks_time_never_goes_back() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let created = app.post("/tasks").json(json!({"title": "a"})).await;
    let path = created.header("location").to_owned();
    stage.clock.advance(-3_600);
    let started = app.post(&format!("{path}/start")).await;
    started.is_task(200, 2);
    assert_eq!(started.body["updated_at"], created.body["updated_at"]);
    stage.clock.advance(7_200);
    let completed = app.post(&format!("{path}/complete")).await;
    let at = |value: &serde_json::Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(at(&completed.body["updated_at"]) > at(&started.body["updated_at"]));
    assert_eq!(completed.body["completed_at"], completed.body["updated_at"]);
}

#[tokio::test]
async fn conditions_on_several_lines_are_one_list_also_for_a_repeated_key() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let start = |lines: &[&str]| {
        let request = app.post(&format!("{path}/start")).key("start");
        lines.iter().fold(request, |request, line| request.if_match(line))
    };
    start(&["\"7\"", "\"1\""]).await.is_task(200, 2);
    start(&["\"7\", \"1\""]).await.is_task(200, 2);
    start(&["\"1\", \"7\""]).await.is_problem(422, "idempotency-key-reused");
    start(&["\"1\"", "*"]).await.is_problem(400, "bad-parameter");
    assert_eq!(app.events(&path).await.len(), 2);
}
