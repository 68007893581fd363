//! `POST /tasks/batch`

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::support::{App, FaultyStore, Footing, Stage, on_both_footings, user};

fn id(path: &str) -> &str {
    path.strip_prefix("/tasks/").unwrap()
}

fn send(app: &App, commands: Value) -> super::support::Request {
    app.post("/tasks/batch").json(json!({ "commands": commands }))
}

/// The pointers and codes of a command's errors.
fn errors(result: &Value) -> Vec<(&str, &str)> {
    assert_eq!(result["problem"]["code"], "validation-failed");
    let errors = result["problem"]["errors"].as_array().unwrap();
    errors.iter().map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_first_commands_on_different_tasks_take_effect_in_their_order() {
    let stage = Stage::sqlite().await;
    let other = App::start(&stage).await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    // This process remembers the second task, and reads the first one, which takes a while.
    let (first, second) = (other.task().await, app.task().await);
    *store.stream_page_takes.lock().unwrap() = Duration::from_millis(200);
    let commands = json!([
        {"op": "complete", "id": id(&first)},
        {"op": "complete", "id": id(&second)},
    ]);
    send(&app, commands).await.results(&[200, 200]);
    let position = async |path: &str| app.events(path).await.last().unwrap().position;
    assert!(position(first.as_str()).await < position(second.as_str()).await);
}

#[tokio::test]
async fn they_do_so_also_where_the_first_one_waits_for_the_key_of_its_person() {
    let stage = Stage::sqlite().await;
    let plain = App::start(&stage).await;
    let (first, second) = (plain.task().await, plain.task().await);
    // Of these events only that of the first command is encrypted, and its key is made at that moment.
    let keys = tempfile::tempdir().unwrap();
    let store = test_support::sealed(stage.storage.event_store().await, keys.path()).await;
    let app = App::start_on(&stage, store).await;
    let commands = json!([
        {"op": "update", "id": id(&first), "title": "Buy eggs"},
        {"op": "complete", "id": id(&second)},
    ]);
    send(&app, commands).await.results(&[200, 200]);
    let position = async |path: &str| app.events(path).await.last().unwrap().position;
    assert!(position(first.as_str()).await < position(second.as_str()).await);
}

#[tokio::test]
async fn every_command_is_answered_as_it_would_be_alone() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let (one, two) = (app.task().await, app.task().await);
    let reply = send(
        &app,
        json!([
            {"op": "create", "title": " Eggs ", "priority": "high", "due": "2026-12-01", "tags": ["x"]},
            {"op": "start", "id": id(&one)},
            {"op": "update", "id": id(&one), "description": "fresh", "tags": ["y"], "if_match": 2},
            {"op": "complete", "id": id(&one), "if_match": "\"4\""},
            {"op": "complete", "id": id(&one)},
            {"op": "start", "id": id(&one)},
            {"op": "reopen", "id": id(&one), "if_match": "5"},
            {"op": "cancel", "id": id(&one), "if_match": "*"},
            {"op": "delete", "id": id(&two)},
            {"op": "update", "id": id(&two), "title": "gone"},
            {"op": "restore", "id": id(&two)},
            {"op": "delete", "id": id(&two), "if_match": 1},
        ]),
    )
    .await;
    let results = reply.results(&[201, 200, 200, 200, 200, 409, 200, 200, 204, 404, 200, 412]);
    let versions: Vec<_> = results.iter().map(|result| result["task"]["version"].as_u64()).collect();
    let expected =
        [Some(1), Some(2), Some(4), Some(5), Some(5), None, Some(6), Some(7), None, None, Some(3), None];
    assert_eq!(versions, expected);
    assert_eq!(results[0]["task"]["title"], "Eggs");
    assert_eq!(results[2]["task"]["tags"], json!(["y"]));
    assert_eq!(results[5]["problem"]["code"], "illegal-transition");
    assert_eq!(results[9]["problem"]["code"], "not-found");
    assert_eq!(results[11]["problem"]["code"], "version-mismatch");
    let head = app.store.head().await.unwrap();
    assert_eq!(head, 2 + 9);
    assert!(reply.token().same_subject(events::ConsistencyToken::new(user(1), head)));
    assert_eq!(reply.token().position, head);

    let created = &results[0]["task"];
    app.patch(&format!("/tasks/{}", created["id"].as_str().unwrap())).json(json!({})).await.is_task(200, 1);
}

#[tokio::test]
async fn an_invalid_command_does_not_block_the_others() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let reply = send(
        &app,
        json!([
            {"op": "create", "title": "", "priority": "extreme", "tags": ["a", "a"], "colour": "red"},
            {"op": "fly", "id": id(&path), "colour": "red"},
            {"id": id(&path)},
            {"op": null},
            {"op": "start"},
            {"op": "start", "id": "1"},
            {"op": "start", "id": id(&path).replace('-', "")},
            {"op": "start", "id": id(&path), "title": "a"},
            {"op": "update", "id": id(&path), "title": null, "status": "lost"},
            {"op": "update", "id": id(&path), "if_match": -1, "due": "soon"},
            {"op": "delete", "id": id(&path), "if_match": null},
            {"op": "create", "title": "a", "id": id(&path), "if_match": 1},
            "start",
            null,
            {"op": "start", "id": id(&path)},
        ]),
    )
    .await;
    let mut statuses = [422; 15];
    statuses[14] = 200;
    let results = reply.results(&statuses);
    let found: Vec<_> = results[..14].iter().map(errors).collect();
    let expected: [&[(&str, &str)]; 14] = [
        &[
            ("/commands/0/title", "empty"),
            ("/commands/0/priority", "unknown-value"),
            ("/commands/0/tags/1", "repeated"),
            ("/commands/0/colour", "unknown-field"),
        ],
        &[("/commands/1/op", "unknown-value")],
        &[("/commands/2/op", "required")],
        &[("/commands/3/op", "required")],
        &[("/commands/4/id", "required")],
        &[("/commands/5/id", "malformed")],
        &[("/commands/6/id", "malformed")],
        &[("/commands/7/title", "unknown-field")],
        &[("/commands/8/title", "not-nullable"), ("/commands/8/status", "unknown-value")],
        &[("/commands/9/if_match", "malformed"), ("/commands/9/due", "malformed")],
        &[("/commands/10/if_match", "not-nullable")],
        &[("/commands/11/id", "unknown-field"), ("/commands/11/if_match", "unknown-field")],
        &[("/commands/12", "wrong-type")],
        &[("/commands/13", "wrong-type")],
    ];
    assert_eq!(found, expected);
    assert_eq!(results[14]["task"]["version"], 2);
    assert_eq!(app.events(&path).await.len(), 2);
}

#[tokio::test]
async fn the_mistakes_in_a_batch_are_listed_within_a_bound() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    // Names that take six times their length in JSON, and one that is shortened.
    let fields = |n: usize| (format!("{}{n}", "\u{1}".repeat(20)), json!(0));
    let mut wrong: serde_json::Map<String, Value> = (0..50).map(fields).collect();
    wrong.insert("x".repeat(2_000), json!(0));
    wrong.insert("op".to_owned(), json!("create"));
    let reply = send(&app, json!(vec![wrong; 100])).await;
    assert!(reply.text.len() <= 64 * 1024, "{}", reply.text.len());
    let results = reply.results(&[422; 100]);
    assert_eq!(errors(&results[0])[0].0, "/commands/0/title");
    assert_eq!(errors(&results[99])[..], [("", "more-errors")]);
}

#[tokio::test]
async fn an_envelope_that_is_wrong_is_wrong_as_a_whole() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let good = json!({"op": "create", "title": "a"});
    for (body, expected) in [
        (json!({}), vec![("/commands", "required")]),
        (json!({"commands": null}), vec![("/commands", "required")]),
        (json!({"commands": {}}), vec![("/commands", "wrong-type")]),
        (json!({"commands": []}), vec![("/commands", "empty")]),
        (json!({"commands": vec![&good; 101]}), vec![("/commands", "too-many")]),
        (json!({"commands": [good], "atomic": true}), vec![("/atomic", "unknown-field")]),
    ] {
        app.post("/tasks/batch").json(body).await.is_invalid(&expected);
    }
    app.post("/tasks/batch").await.is_problem(400, "malformed-json");
    app.request("GET", "/tasks/batch").await.is_problem(405, "method-not-allowed");
    let anonymous = send(&app, json!([good])).anonymous().await;
    anonymous.is_problem(401, "token-missing");
    assert_eq!(app.store.head().await.unwrap(), 0);
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let description = "x".repeat(10_000);
    let commands = vec![json!({"op": "create", "title": "a", "description": description}); 100];
    let reply = send(&app, json!(commands)).key("large").await;
    reply.results(&[201; 100]);
    let again = send(&app, json!(commands)).key("large").await;
    assert_eq!(again.text, reply.text);
    let padding = " ".repeat(1 << 20);
    app.post("/tasks/batch")
        .header("content-type", "application/json")
        .raw(format!("{{{padding}}}"))
        .await
        .is_problem(413, "body-too-large");
}

#[tokio::test]
async fn others_tasks_are_not_there() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let reply = send(&app, json!([{"op": "delete", "id": id(&path)}])).by(user(2)).await;
    let results = reply.results(&[404]);
    assert_eq!(results[0]["problem"]["code"], "not-found");
    assert!(!reply.headers.contains_key("consistency-token"));
    assert_eq!(app.events(&path).await.len(), 1);
}

async fn a_hundred_creations_share_transactions(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let commands: Vec<_> = (0..100).map(|n| json!({"op": "create", "title": format!("{n}")})).collect();
    let reply = send(&app, json!(commands)).await;
    let results = reply.results(&[201; 100]);
    assert_eq!(app.store.head().await.unwrap(), 100);
    assert_eq!(reply.token().position, 100);
    let text = |result: &Value, field: &str| result["task"][field].as_str().unwrap().to_owned();
    let titles = results.iter().map(|result| text(result, "title"));
    assert!(titles.eq((0..100).map(|n| n.to_string())));
    assert!(results.is_sorted_by(|one, next| text(one, "id") < text(next, "id")));
    let ids: BTreeSet<_> = results.iter().map(|result| text(result, "id")).collect();
    let log = test_support::read_all(&*app.store, 0, 1_000).await;
    let streams: BTreeSet<_> = log.iter().map(|event| event.stream.to_string()).collect();
    assert_eq!(streams, ids.iter().map(|id| format!("task-{id}")).collect());

    if let Some(pool) = app.operations.postgres() {
        let transactions: i64 =
            sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM event_store.events")
                .fetch_one(&mut pool.connect().await.unwrap())
                .await
                .unwrap();
        assert!(transactions <= 10, "{transactions} transactions");
    }
}

on_both_footings!(a_hundred_creations_share_transactions);
