//! Reverts and undos read what happened before: one person's are nobody else's wait, and none goes on for ever.

use std::time::Duration;

use events::StreamName;
use futures::future::join_all;
use serde_json::json;

use super::{
    support::{App, FaultyStore, Reply, Stage, user},
    undo::{project, undo},
};

/// What waits for nobody is answered in less.
const SOON: Duration = Duration::from_secs(4);

async fn revert(app: &App, person: u128, path: &str) -> Reply {
    let request = app.post(&format!("{path}/revert")).by(user(person));
    request.json(json!({"to_version": 1})).await
}

/// A task of the n-th person with two versions.
async fn changed_task(app: &App, person: u128) -> String {
    let made = app.post("/tasks").by(user(person)).json(json!({"title": "a"}));
    let path = made.await.header("location").to_owned();
    let change = app.patch(&path).by(user(person)).json(json!({"title": "b"}));
    change.await.is_task(200, 2);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_reverts_of_another_and_none_reads_for_ever() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let (slow, mine) = (changed_task(&app, 1).await, changed_task(&app, 2).await);
    let id = slow.strip_prefix("/tasks/").unwrap().parse().unwrap();
    *store.silent.lock().unwrap() = vec![StreamName::task(id)];
    let greedy =
        tokio::time::timeout(Duration::from_secs(20), join_all((0..8).map(|_| revert(&app, 1, &slow))));
    let other = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        tokio::time::timeout(SOON, revert(&app, 2, &mine)).await.unwrap()
    };
    let (greedy, other) = tokio::join!(greedy, other);
    other.is_task(200, 3);
    for reply in greedy.unwrap() {
        reply.is_problem(503, "overloaded");
    }
    store.silent.lock().unwrap().clear();
    revert(&app, 1, &slow).await.is_task(200, 3);
}

#[tokio::test]
async fn what_was_answered_under_a_key_is_answered_again_without_a_look_back() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let path = changed_task(&app, 1).await;
    let made = app.post("/tasks").header("x-request-id", "made");
    made.json(json!({"title": "a"})).await.is_task(201, 1);
    project(&app).await;
    let revert = || {
        let request = app.post(&format!("{path}/revert")).key("revert");
        request.json(json!({"to_version": 1})).send()
    };
    let undo_made = || {
        let request = app.post("/tasks/undo").key("undo");
        request.json(json!({"request_id": "made"})).send()
    };
    let reverted = revert().await;
    reverted.is_task(200, 3);
    project(&app).await;
    let undone = undo_made().await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    // From now on read models and pages of the stream would say something else, or nothing.
    app.read_models.execute("DELETE FROM checkpoints", &[]).await.unwrap();
    undo(&app, "made").await.is_problem(503, "projection-behind");
    store.take_cost();
    let again = revert().await;
    let cost = store.take_cost();
    assert!(cost.reads <= 4, "{cost:?}");
    for (first, again) in [(reverted, again), (undone, undo_made().await)] {
        assert_eq!((again.status, again.text), (first.status, first.text));
        assert_eq!(again.headers.get("etag"), first.headers.get("etag"));
    }
    // It is the key of that request only.
    let other = app.post("/tasks/undo").key("undo").json(json!({"request_id": "other"}));
    other.await.is_problem(422, "idempotency-key-reused");
}
