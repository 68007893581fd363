//! The event store is down, or loses its answer.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::support::{App, FaultyStore, Stage, eventually};

#[tokio::test]
async fn a_store_that_is_down_is_unavailable_never_internal() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let path = app.task().await;
    store.down.store(true, Ordering::SeqCst);
    for request in [
        app.post("/tasks").json(json!({"title": "a"})),
        app.post("/tasks").key("k").json(json!({"title": "a"})),
        app.patch(&path).json(json!({"title": "a"})),
        app.patch(&path).json(json!({})),
        app.post(&format!("{path}/start")),
        app.delete(&path),
    ] {
        let reply = request.await;
        reply.is_problem(503, "unavailable");
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert_eq!(app.request("GET", "/health/ready").await.status, 503);
    store.down.store(false, Ordering::SeqCst);
    app.post(&format!("{path}/start")).await.is_task(200, 2);
    // A failure is not stored as the answer.
    app.post("/tasks").key("k").json(json!({"title": "a"})).await.is_task(201, 1);
    eventually("it is ready again", || async { app.request("GET", "/health/ready").await.status == 200 })
        .await;
}

#[tokio::test]
async fn an_append_whose_answer_got_lost_still_counts() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    store.lose_answers.store(true, Ordering::SeqCst);
    let path = app.task().await;
    app.patch(&path).json(json!({"title": "b", "priority": "low"})).await.is_task(200, 3);
    app.post(&format!("{path}/start")).await.is_task(200, 4);
    assert_eq!(app.events(&path).await.len(), 4);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_key_finds_the_effect() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let create = || app.post("/tasks").key("create").json(json!({"title": "a"}));
    store.lose_next_answer.store(true, Ordering::SeqCst);
    create().await.is_problem(503, "unavailable");
    let reply = create().await;
    reply.is_task(201, 1);
    let path = reply.header("location").to_owned();
    assert_eq!(app.store.head().await.unwrap(), 1);

    let rename = || app.patch(&path).key("rename").json(json!({"title": "b", "priority": "low"}));
    store.lose_next_answer.store(true, Ordering::SeqCst);
    rename().await.is_problem(503, "unavailable");
    // The state in memory is not that of the log; even without a key the client sees the latter.
    app.patch(&path).json(json!({"title": "b"})).await.is_task(200, 3);
    app.patch(&path).json(json!({"title": "c"})).await.is_task(200, 4);
    let reply = rename().await;
    reply.is_task(200, 3);
    assert_eq!(reply.body["title"], "b");
    assert_eq!(app.events(&path).await.len(), 4);
}

#[tokio::test]
async fn a_client_that_hangs_up_and_asks_again_finds_the_effect() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let create = || app.post("/tasks").key("k").json(json!({"title": "a"}));
    store.hang_next_answer.store(true, Ordering::SeqCst);
    tokio::select! {
        reply = create().send() => panic!("answered {reply:?}"),
        () = eventually("the task is in the log", async || app.store.head().await.unwrap() == 1) => {}
    }
    let reply = create().await;
    reply.is_task(201, 1);
    assert_eq!(app.events(reply.header("location")).await.len(), 1);
    assert_eq!(app.store.head().await.unwrap(), 1);
}
