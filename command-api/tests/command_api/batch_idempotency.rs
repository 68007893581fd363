//! `Idempotency-Key` on a batch: the same commands sent again have one effect and one answer.

use std::sync::atomic::Ordering;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    idempotency::{age_keys, forget_answer, same_answer},
    support::{App, FaultyStore, Footing, Request, Stage, eventually, on_both_footings},
};

fn id(path: &str) -> &str {
    path.strip_prefix("/tasks/").unwrap()
}

/// Always with the same request id, so that answers can be compared.
fn send(app: &App, key: &str, commands: &Value) -> Request {
    app.post("/tasks/batch").key(key).header("x-request-id", "request").json(json!({ "commands": commands }))
}

async fn a_batch_is_answered_again_without_a_second_effect(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let commands = json!([
        {"op": "create", "title": "a"},
        {"op": "update", "id": id(&path), "title": "b"},
        {"op": "update", "id": id(&path), "title": "b"},
        {"op": "start", "id": "nowhere"},
        {"op": "delete", "id": id(&path)},
        {"op": "start", "id": id(&path)},
    ]);
    let key = "k".repeat(255);
    let first = send(&app, &key, &commands).await;
    first.results(&[201, 200, 200, 422, 204, 404]);
    same_answer(&first, &send(&app, &key, &commands).await);
    app.post(&format!("{path}/restore")).await.is_task(200, 4);
    same_answer(&first, &send(&app, &key, &commands).await);
    assert_eq!(app.store.head().await.unwrap(), 5);

    let others =
        [send(&app, &key, &json!([commands[0]])), app.post("/tasks").key(&key).json(json!({"title": "a"}))];
    for other in others {
        other.await.is_problem(422, "idempotency-key-reused");
    }
    // An invalid request has not used its key up.
    send(&app, "fresh", &json!([])).await.is_problem(422, "validation-failed");
    send(&app, "fresh", &json!([{"op": "create", "title": "c"}])).await.results(&[201]);
}

async fn concurrent_duplicates_have_one_effect_and_one_answer(footing: Footing) {
    let stage = Stage::new(footing).await;
    let (one, two) = (App::start(&stage).await, App::start(&stage).await);
    let path = one.task().await;
    let commands = json!([
        {"op": "create", "title": "a"},
        {"op": "create", "title": "b"},
        {"op": "start", "id": id(&path)},
        {"op": "complete", "id": id(&path)},
        {"op": "start", "id": id(&path)},
    ]);
    let replies =
        join_all((0..8).map(|n| send(if n % 2 == 0 { &one } else { &two }, "k", &commands).send())).await;
    replies[0].results(&[201, 201, 200, 200, 409]);
    for reply in &replies {
        same_answer(&replies[0], reply);
    }
    assert_eq!(one.store.head().await.unwrap(), 5);
}

async fn a_crash_in_the_middle_repeats_nothing_and_forgets_nothing(footing: Footing) {
    let stage = Stage::new(footing).await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let path = app.task().await;
    let commands = json!([
        {"op": "create", "title": "a"},
        {"op": "create", "title": "b"},
        {"op": "start", "id": id(&path)},
        {"op": "complete", "id": id(&path)},
    ]);
    store.hang_next_answer.store(true, Ordering::SeqCst);
    tokio::select! {
        reply = send(&app, "k", &commands).send() => panic!("answered {reply:?}"),
        () = eventually("most is in the log", async || app.store.head().await.unwrap() >= 4) => {}
    }
    app.stop().await;
    let app = App::start(&stage).await;
    // Its lease expires.
    age_keys(&app, 10).await;
    let reply = send(&app, "k", &commands).await;
    let results = reply.results(&[201, 201, 200, 200]);
    assert_eq!(results[2]["task"]["version"], 2);
    assert_eq!(results[3]["task"]["version"], 3);
    assert_eq!(app.store.head().await.unwrap(), 5);
    same_answer(&reply, &send(&app, "k", &commands).await);
}

async fn what_had_no_effect_gets_none_from_a_later_try(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let (one, two) = (app.task().await, app.task().await);
    app.post(&format!("{two}/complete")).await.is_task(200, 2);
    let commands = json!([
        {"op": "update", "id": id(&one), "title": "Buy milk"},
        {"op": "reopen", "id": id(&one), "if_match": 7},
        {"op": "update", "id": id(&one), "title": "b"},
        {"op": "reopen", "id": id(&one)},
        {"op": "start", "id": id(&one)},
        {"op": "start", "id": id(&two)},
        {"op": "reopen", "id": id(&two)},
        {"op": "delete", "id": id(&two)},
        {"op": "update", "id": id(&two), "title": "c"},
        {"op": "restore", "id": id(&two)},
    ]);
    let first = send(&app, "k", &commands).await;
    let results = first.results(&[200, 412, 200, 200, 200, 409, 200, 204, 404, 200]);
    assert_eq!(results[0]["task"]["version"], 1);
    assert_eq!(results[3]["task"]["version"], 2);
    forget_answer(&app, "k").await;
    app.stop().await;

    let app = App::start(&stage).await;
    same_answer(&first, &send(&app, "k", &commands).await);
    assert_eq!(app.events(&one).await.len(), 3);
    assert_eq!(app.events(&two).await.len(), 5);
}

async fn an_outage_in_the_middle_leaves_the_rest_to_a_later_try(footing: Footing) {
    let stage = Stage::new(footing).await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let (one, two) = (app.task().await, app.task().await);
    app.post(&format!("{two}/complete")).await.is_task(200, 2);
    let commands = json!([
        {"op": "create", "title": "a"},
        {"op": "start", "id": id(&two)},
        {"op": "update", "id": id(&one), "title": "Buy milk"},
        {"op": "create", "title": ""},
        {"op": "create", "title": "b"},
        {"op": "create", "title": "c"},
    ]);
    store.appends_left.store(1, Ordering::SeqCst);
    let first = send(&app, "k", &commands).await;
    let done = first.results(&[201, 409, 200, 422, 503, 503]);
    assert_eq!(done[4]["problem"]["code"], "unavailable");
    assert_eq!(first.token().position, app.store.head().await.unwrap());
    let still = send(&app, "k", &commands).await;
    assert_eq!(still.results(&[201, 409, 200, 422, 503, 503])[..4], done[..4]);

    // A result that was returned stays, whatever happens later.
    store.appends_left.store(usize::MAX, Ordering::SeqCst);
    app.post(&format!("{two}/reopen")).await.is_task(200, 3);
    app.patch(&one).json(json!({"title": "d"})).await.is_task(200, 2);
    let second = send(&app, "k", &commands).await;
    let results = second.results(&[201, 409, 200, 422, 201, 201]);
    assert_eq!(results[..4], done[..4]);
    assert_eq!(app.store.head().await.unwrap(), 8);
    assert_eq!(second.token().position, 8);
    same_answer(&second, &send(&app, "k", &commands).await);
    assert_eq!(app.events(&one).await.len(), 2);
    assert_eq!(app.events(&two).await.len(), 3);
}

on_both_footings!(
    a_batch_is_answered_again_without_a_second_effect,
    concurrent_duplicates_have_one_effect_and_one_answer,
    a_crash_in_the_middle_repeats_nothing_and_forgets_nothing,
    what_had_no_effect_gets_none_from_a_later_try,
    an_outage_in_the_middle_leaves_the_rest_to_a_later_try,
);

#[tokio::test]
async fn a_command_whose_fate_is_unknown_holds_up_the_later_ones_on_its_task() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let path = app.task().await;
    let commands = json!([
        {"op": "start", "id": id(&path)},
        {"op": "update", "id": id(&path), "title": "b"},
        {"op": "reopen", "id": id(&path)},
    ]);
    store.lose_next_answer.store(true, Ordering::SeqCst);
    let reply = send(&app, "k", &commands).await;
    reply.results(&[503, 503, 503]);
    assert_eq!(app.events(&path).await.len(), 2);
    let reply = send(&app, "k", &commands).await;
    let results = reply.results(&[200, 200, 200]);
    let versions: Vec<_> = results.iter().map(|result| result["task"]["version"].as_u64()).collect();
    assert_eq!(versions, [Some(2), Some(3), Some(4)]);
    assert_eq!(app.events(&path).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_overtaken_by_its_duplicate_changes_nothing_more() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let other = App::start(&stage).await;
    let path = app.task().await;
    let commands = json!([
        {"op": "update", "id": id(&path), "title": "b"},
        {"op": "update", "id": id(&path), "title": "c"},
        {"op": "update", "id": id(&path), "title": "d"},
    ]);
    let (release, held) = oneshot::channel();
    *store.hold_next_answer.lock().unwrap() = Some(held);
    let slow = tokio::spawn(send(&app, "k", &commands).send());
    eventually("the first command is in the log", async || app.store.head().await.unwrap() == 2).await;
    // The duplicate waits until the lease has run out.
    let duplicate = send(&other, "k", &commands).await;
    duplicate.results(&[200, 200, 200]);
    assert_eq!(duplicate.body["results"][2]["task"]["version"], 4);
    release.send(()).unwrap();
    same_answer(&duplicate, &slow.await.unwrap());
    assert_eq!(app.events(&path).await.len(), 4);
}
