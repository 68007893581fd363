//! The cost of a command does not depend on the number of events of its task.

use event_store::EventStore;
use events::{Actor, EventId, Metadata, NewEvent, StreamName, TaskEvent, TaskId, TaskRenamed, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::{
    idempotency::same_answer,
    support::{App, FaultyStore, Footing, Request, Stage, on_both_footings, user},
};

const LONG: u64 = 3_000;
/// A fold of at most this many events does not read the whole stream.
const FEW: usize = 600;

/// A change of the title, as the command side leaves it.
fn renamed(title: String) -> NewEvent {
    let event = TaskEvent::Renamed(TaskRenamed { title }).encode();
    let metadata = Metadata::new(user(1), Actor::User(user(1)), "request", Uuid::now_v7());
    let at = Timestamp::from_micros(1_780_000_000_000_000);
    event.into_event(EventId(Uuid::now_v7()), metadata, at)
}

pub(super) fn stream(path: &str) -> StreamName {
    let id: TaskId = path.strip_prefix("/tasks/").unwrap().parse().unwrap();
    StreamName::task(id)
}

/// Appends events to the task at `path` until it has `length`, as other processes would.
pub(super) async fn lengthen(store: &dyn EventStore, path: &str, length: u64) {
    let mut version = store.stream_head(&stream(path)).await.unwrap().unwrap().version;
    while version < length {
        let next = (version + 500).min(length);
        let events = (version..next).map(|n| renamed(format!("title {n}"))).collect();
        version = store.append(&stream(path), version, events).await.unwrap().version;
    }
}

/// A task with `length` events.
async fn task(app: &App, length: u64) -> String {
    let created =
        app.post("/tasks").json(json!({"title": "a", "description": "b", "tags": ["c", "d"]})).await;
    let path = created.header("location").to_owned();
    lengthen(&*app.store, &path, length).await;
    path
}

async fn a_command_costs_the_same_on_a_long_stream_as_on_a_short_one(footing: Footing) {
    let stage = Stage::new(footing).await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let mut costs = Vec::new();
    for length in [10, LONG] {
        let path = task(&app, length).await;
        app.patch(&path).json(json!({})).await.is_task(200, length);
        store.take_cost();
        let mut here = Vec::new();
        let send = async |request: Request, status: u16| {
            let reply = request.await;
            assert_eq!(reply.status, status, "{}", reply.text);
            store.take_cost()
        };
        let patch = || app.patch(&path);
        let key = |name: &str| format!("{name} {length}").replace(' ', "-");
        here.push(send(patch().json(json!({})), 200).await);
        here.push(send(patch().json(json!({"tags": ["c", "d"]})), 200).await);
        here.push(send(patch().if_match("\"3\"").json(json!({"title": "x"})), 412).await);
        here.push(send(app.post(&format!("{path}/reopen")).by(user(2)), 404).await);
        here.push(send(app.post(&format!("{path}/start")), 200).await);
        here.push(send(app.post(&format!("{path}/start")).key(&key("again")), 200).await);
        here.push(send(app.post(&format!("{path}/complete")).key(&key("done")), 200).await);
        here.push(send(app.post(&format!("{path}/reopen")), 200).await);
        // The answer is repeated from the table, and found again in the stream.
        here.push(send(app.post(&format!("{path}/complete")).key(&key("done")), 200).await);
        here.push(send(app.post(&format!("{path}/start")).key(&key("again")), 200).await);
        costs.push(here);
    }
    assert_eq!(costs[0], costs[1]);
    let most = costs[1].iter().map(|cost| cost.events).max();
    assert!(most <= Some(8), "{:?}", costs[1]);
}

async fn a_retry_looks_no_further_back_than_the_first_try(footing: Footing) {
    let stage = Stage::new(footing).await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let path = task(&app, LONG).await;
    let rename = || app.patch(&path).key("k").json(json!({"title": "x", "priority": "low"}));
    let first = rename().await;
    first.is_task(200, LONG + 2);
    app.post(&format!("{path}/start")).await.is_task(200, LONG + 3);
    // Simulates a crash before the answer was stored: the states from the beginning are still there.
    let row = "UPDATE idempotency_keys SET response = NULL, tasks_before = $1";
    let before = "SELECT state FROM task_snapshots";
    store.take_cost();
    let kept = app.operations.fetch_optional(before, &[]).await.unwrap().unwrap();
    let kept = format!("[{}]", kept.text("state").unwrap());
    app.operations.execute(row, &[kept.into()]).await.unwrap();
    same_answer(&first, &rename().await);
    let cost = store.take_cost();
    assert!(cost.events <= FEW, "{cost:?}");
    assert_eq!(app.events(&path).await.len() as u64, LONG + 3);
}

async fn a_cold_replica_does_not_fold_a_long_stream_from_its_beginning(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let path = task(&app, LONG).await;
    let expected = app.patch(&path).json(json!({})).await;
    expected.is_task(200, LONG);
    app.stop().await;

    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let reply = app.patch(&path).json(json!({})).await;
    assert_eq!(reply.body, expected.body);
    let cost = store.take_cost();
    assert!(cost.events <= FEW, "{cost:?}");

    // Commands of one process write snapshots, too.
    let short = task(&app, 1).await;
    for n in 1..=520_u64 {
        let commands = json!({"title": format!("{n}")});
        app.patch(&short).json(commands).await.is_task(200, n + 1);
    }
    app.stop().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    app.patch(&short).json(json!({})).await.is_task(200, 521);
    let cost = store.take_cost();
    assert!(cost.events < 100, "{cost:?}");
}

async fn many_cold_commands_share_one_read(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let path = task(&app, 100).await;
    app.stop().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let requests = (0..20).map(|_| app.patch(&path).json(json!({})).send());
    for reply in futures::future::join_all(requests).await {
        reply.is_task(200, 100);
    }
    let cost = store.take_cost();
    assert!(cost.events <= 200, "{cost:?}");
}

async fn a_snapshot_that_is_not_from_this_log_counts_for_nothing(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let (path, other) = (task(&app, LONG).await, task(&app, LONG).await);
    for path in [&path, &other] {
        app.patch(path).json(json!({})).await.is_task(200, LONG);
    }
    let expected = app.patch(&path).json(json!({})).await;
    // Simulates a restored log with other events: another event has this version.
    let rows = app.operations.fetch_all("SELECT task_id, state FROM task_snapshots", &[]).await.unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let mut state: serde_json::Value = serde_json::from_str(&row.text("state").unwrap()).unwrap();
        state["event"] = json!(Uuid::now_v7());
        state["task"]["status"] = json!("done");
        app.operations
            .execute(
                "UPDATE task_snapshots SET state = $1 WHERE task_id = $2",
                &[state.to_string().into(), row.uuid("task_id").unwrap().into()],
            )
            .await
            .unwrap();
    }
    app.stop().await;
    let app = App::start(&stage).await;
    let reply = app.patch(&path).json(json!({})).await;
    assert_eq!(reply.body, expected.body);
    // A missing or invalid snapshot does no harm.
    app.operations.execute("UPDATE task_snapshots SET state = 'nonsense'", &[]).await.unwrap();
    app.patch(&other).json(json!({})).await.is_task(200, LONG);
}

async fn an_answer_whose_effect_was_lost_is_not_given_again(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let path = task(&app, 3).await;
    let start = || app.post(&format!("{path}/start")).key("k");
    let first = start().await;
    first.is_task(200, 4);
    // The stored answer names an event that does not exist, as after the restore of an older log.
    let row = app.operations.fetch_optional("SELECT response FROM idempotency_keys", &[]).await.unwrap();
    let mut kept: serde_json::Value = serde_json::from_str(&row.unwrap().text("response").unwrap()).unwrap();
    kept["tasks"][0]["event"] = json!(Uuid::now_v7());
    app.operations
        .execute("UPDATE idempotency_keys SET response = $1", &[kept.to_string().into()])
        .await
        .unwrap();
    app.post(&format!("{path}/reopen")).await.is_task(200, 5);
    start().await.is_task(200, 6);
    same_answer(&start().await, &start().await);
}

on_both_footings!(
    a_command_costs_the_same_on_a_long_stream_as_on_a_short_one,
    a_retry_looks_no_further_back_than_the_first_try,
    a_cold_replica_does_not_fold_a_long_stream_from_its_beginning,
    many_cold_commands_share_one_read,
    a_snapshot_that_is_not_from_this_log_counts_for_nothing,
    an_answer_whose_effect_was_lost_is_not_given_again,
);
