//! `Idempotency-Key`

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::support::{App, Footing, Reply, Stage, on_both_footings, user};

/// Asserts that `again` repeats `first`.
#[track_caller]
pub(super) fn same_answer(first: &Reply, again: &Reply) {
    assert_eq!(first.status, again.status, "{} / {}", first.text, again.text);
    assert_eq!(first.text, again.text);
    for name in ["content-type", "etag", "location", "consistency-token", "cache-control"] {
        assert_eq!(first.headers.get(name), again.headers.get(name), "{name}");
    }
}

/// Simulates a crash after the append and before the answer was stored.
pub(super) async fn forget_answer(app: &App, key: &str) {
    let forgotten = app
        .operations
        .execute("UPDATE idempotency_keys SET response = NULL WHERE key = $1", &[key.into()])
        .await
        .unwrap();
    assert_eq!(forgotten, 1);
}

/// Simulates that `seconds` have passed on the server's clock.
pub(super) async fn age_keys(app: &App, seconds: i64) {
    app.operations
        .execute(
            "UPDATE idempotency_keys SET created_at = created_at - $1, leased_until = leased_until - $1",
            &[(seconds * 1_000_000).into()],
        )
        .await
        .unwrap();
}

async fn every_command_is_answered_again_without_a_second_effect(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let create = || app.post("/tasks").key("create").json(json!({"title": "a"}));
    let created = create().await;
    created.is_task(201, 1);
    same_answer(&created, &create().await);
    let path = created.header("location").to_owned();

    let mut version = 1;
    for (verb, key) in [("start", "k1"), ("complete", "k2"), ("reopen", "k3"), ("cancel", "k4")] {
        let request = || app.post(&format!("{path}/{verb}")).key(key);
        let first = request().await;
        version += 1;
        first.is_task(200, version);
        same_answer(&first, &request().await);
        // White space and an empty body do not matter.
        same_answer(&first, &request().json(json!({})).await);
    }
    let rename = || app.patch(&path).key("k5").json(json!({"title": "b", "tags": ["x"]}));
    let first = rename().await;
    first.is_task(200, 7);
    same_answer(&first, &rename().await);
    let reordered = app.patch(&path).key("k5").header("content-type", "application/json");
    same_answer(&first, &reordered.raw("{ \"tags\": [\"x\"],\n\"title\": \"b\" }").await);

    let delete = || app.delete(&path).key("k6");
    let first = delete().await;
    assert_eq!(first.status, 204);
    same_answer(&first, &delete().await);
    let restore = || app.post(&format!("{path}/restore")).key("k7");
    let first = restore().await;
    first.is_task(200, 9);
    same_answer(&first, &restore().await);
    // Later changes do not change the stored answer.
    same_answer(&created, &create().await);
    assert_eq!(delete().await.status, 204);
    assert_eq!(app.events(&path).await.len(), 9);
}

async fn refusals_are_answered_again_too(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    app.post(&format!("{path}/complete")).await.is_task(200, 2);
    let start = || app.post(&format!("{path}/start")).key("start");
    let first = start().await;
    first.is_problem(409, "illegal-transition");
    app.post(&format!("{path}/reopen")).await.is_task(200, 3);
    same_answer(&first, &start().await);

    let stale = || app.delete(&path).if_match("\"1\"").key("delete");
    let first = stale().await;
    first.is_problem(412, "version-mismatch");
    same_answer(&first, &stale().await);

    // An invalid request has not used its key up.
    app.post("/tasks").key("create").json(json!({"title": ""})).await.is_problem(422, "validation-failed");
    app.post("/tasks").key("create").json(json!({"title": "a"})).await.is_task(201, 1);
}

async fn another_request_may_not_use_the_key(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let created = app.post("/tasks").key("k").json(json!({"title": "a"})).await;
    let path = created.header("location").to_owned();
    for request in [
        app.post("/tasks").json(json!({"title": "b"})),
        app.post("/tasks").if_match("*").json(json!({"title": "a"})),
        app.patch(&path).json(json!({"title": "a"})),
        app.post(&format!("{path}/start")),
        app.delete(&path),
    ] {
        request.key("k").await.is_problem(422, "idempotency-key-reused");
    }
    assert_eq!(app.store.head().await.unwrap(), 1);
    // The same key of another person is another key.
    let other = app.post("/tasks").by(user(2)).key("k").json(json!({"title": "b"})).await;
    other.is_task(201, 1);
    assert_ne!(other.body["id"], created.body["id"]);
}

async fn concurrent_duplicates_have_one_effect_and_one_answer(footing: Footing) {
    let stage = Stage::new(footing).await;
    let (one, two) = (App::start(&stage).await, App::start(&stage).await);
    let app = |n: usize| if n.is_multiple_of(2) { &one } else { &two };
    let create = |n: usize| app(n).post("/tasks").key("create").json(json!({"title": "a"})).send();
    let created = join_all((0..50).map(create)).await;
    created[0].is_task(201, 1);
    for reply in &created {
        same_answer(&created[0], reply);
    }
    assert_eq!(one.store.head().await.unwrap(), 1);

    let path = created[0].header("location").to_owned();
    let rename =
        |n: usize| app(n).patch(&path).key("rename").json(json!({"title": "b", "priority": "low"})).send();
    let others = |n: usize| app(n).patch(&path).json(json!({"description": format!("{n}")})).send();
    let (renamed, _) = tokio::join!(join_all((0..16).map(rename)), join_all((0..8).map(others)));
    assert_eq!(renamed[0].status, 200);
    for reply in &renamed {
        same_answer(&renamed[0], reply);
    }
    let renames = one.events(&path).await.iter().filter(|event| event.kind == "task.renamed").count();
    assert_eq!(renames, 1);
}

async fn a_crash_before_the_answer_was_stored_is_no_second_effect(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let create = |app: &App| app.post("/tasks").key("create").json(json!({"title": "a"}));
    let created = create(&app).await;
    let path = created.header("location").to_owned();
    let rename = |app: &App| app.patch(&path).key("rename").json(json!({"title": "b", "priority": "low"}));
    let renamed = rename(&app).await;
    renamed.is_task(200, 3);
    let delete = |app: &App| app.delete(&path).key("delete");
    let deleted = delete(&app).await;
    app.post(&format!("{path}/restore")).await.is_task(200, 5);
    for key in ["create", "rename", "delete"] {
        forget_answer(&app, key).await;
    }
    app.stop().await;

    let app = App::start(&stage).await;
    same_answer(&created, &create(&app).await);
    same_answer(&renamed, &rename(&app).await);
    same_answer(&deleted, &delete(&app).await);
    assert_eq!(app.events(&path).await.len(), 5);
}

async fn a_duplicate_takes_over_from_a_process_that_is_gone(footing: Footing) {
    // Its lease has a second left.
    takes_over(footing, 1, Duration::from_millis(500)).await;
}

async fn a_duplicate_takes_over_although_the_clock_of_the_database_was_set_back(footing: Footing) {
    // No lease is as long.
    takes_over(footing, 3_600, Duration::from_secs(4)).await;
}

/// Of duplicates that find a lease with so many seconds left, nobody takes it over within `at_least`; then one does.
async fn takes_over(footing: Footing, seconds_left: i64, at_least: Duration) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let create = || app.post("/tasks").key("k").json(json!({"title": "a"}));
    let created = create().await;
    forget_answer(&app, "k").await;
    let began = tokio::time::Instant::now();
    let until = runtime::Clock::now(&*stage.clock).plus_seconds(seconds_left);
    app.operations
        .execute("UPDATE idempotency_keys SET leased_until = $1", &[until.as_micros().into()])
        .await
        .unwrap();
    let replies = join_all((0..4).map(|_| create().send())).await;
    assert!(began.elapsed() > at_least, "nobody waited for the lease to run out");
    for reply in &replies {
        same_answer(&created, reply);
    }
    assert_eq!(app.store.head().await.unwrap(), 1);
}

async fn answers_outlive_the_process_and_not_two_days(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let created = app.post("/tasks").key("k").json(json!({"title": "a"})).await;
    age_keys(&app, 24 * 3_600).await;
    app.stop().await;
    let app = App::start(&stage).await;
    same_answer(&created, &app.post("/tasks").key("k").json(json!({"title": "a"})).await);
    age_keys(&app, 24 * 3_600).await;
    app.stop().await;

    let app = App::start(&stage).await;
    super::support::eventually("the key is forgotten", async || {
        let rows = app.operations.fetch_all("SELECT key FROM idempotency_keys", &[]).await.unwrap();
        rows.is_empty()
    })
    .await;
    let path = created.header("location").to_owned();
    // A deleted key may be used again, also on a task with events of it.
    app.post(&format!("{path}/start")).key("k").await.is_task(200, 2);
}

on_both_footings!(
    every_command_is_answered_again_without_a_second_effect,
    refusals_are_answered_again_too,
    another_request_may_not_use_the_key,
    concurrent_duplicates_have_one_effect_and_one_answer,
    a_crash_before_the_answer_was_stored_is_no_second_effect,
    a_duplicate_takes_over_from_a_process_that_is_gone,
    a_duplicate_takes_over_although_the_clock_of_the_database_was_set_back,
    answers_outlive_the_process_and_not_two_days,
);

#[tokio::test]
async fn a_malformed_key_is_a_bad_parameter() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let long = "k".repeat(256);
    for bad in ["", "a b", "ä", long.as_str()] {
        let reply = app.post("/tasks").key(bad).json(json!({"title": "a"})).await;
        reply.is_problem(400, "bad-parameter");
    }
    let twice = app.post("/tasks").key("a").key("b").json(json!({"title": "a"})).await;
    twice.is_problem(400, "bad-parameter");
    let longest = "k".repeat(255);
    app.post("/tasks").key(&longest).json(json!({"title": "a"})).await.is_task(201, 1);
}
