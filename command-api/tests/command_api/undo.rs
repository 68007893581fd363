//! Undoing a request. The tests write the read models, as the projector does.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{App, Footing, Reply, Stage, eventually, user};

/// Projects everything in the log.
pub(super) async fn project(app: &App) {
    let log = app.store.log_page(0, 1_000).await.unwrap();
    let mut tx = app.read_models.begin().await.unwrap();
    for table in ["audit_log", "checkpoints"] {
        tx.execute(&format!("DELETE FROM {table}"), &[]).await.unwrap();
    }
    let mut head = 0;
    for event in log.entries.iter().flatten() {
        head = event.position;
        let sql = "INSERT INTO audit_log (position, stream, version, event_id, type, subject, actor, correlation_id, \
                   causation_id, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let values = [
            event.position.into(),
            event.stream.as_str().into(),
            event.version.into(),
            event.id.0.into(),
            event.kind.as_str().into(),
            event.metadata.subject.0.into(),
            event.metadata.actor.to_string().into(),
            event.metadata.correlation_id.to_string().into(),
            event.metadata.causation_id.into(),
            event.recorded_at.as_micros().into(),
        ];
        tx.execute(sql, &values).await.unwrap();
    }
    for partition in 0..4_u16 {
        let sql = "INSERT INTO checkpoints (partitions, partition, position) VALUES (4, $1, $2)";
        tx.execute(sql, &[partition.into(), head.into()]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

pub(super) async fn undo(app: &App, request: &str) -> Reply {
    let body = json!({"request_id": request});
    app.post("/tasks/undo").json(body).await
}

fn statuses(reply: &Reply) -> Vec<u64> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results = reply.body["results"].as_array().unwrap().iter();
    let mut statuses: Vec<_> = results.map(|result| result["status"].as_u64().unwrap()).collect();
    // Commands on different tasks run concurrently.
    statuses.sort_unstable();
    statuses
}

/// The result for the task with this id.
fn task<'r>(reply: &'r Reply, id: &str) -> &'r Value {
    let results = reply.body["results"].as_array().unwrap().iter();
    let tasks = results.map(|result| &result["task"]);
    tasks.into_iter().find(|task| task["id"] == id).unwrap()
}

#[tokio::test]
async fn each_task_of_a_request_is_undone_on_its_own() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let (kept, changed, gone) = (app.task().await, app.task().await, app.task().await);
    let id = |path: &str| path.strip_prefix("/tasks/").unwrap().to_owned();
    let batch = json!({"commands": [
        {"op": "update", "id": id(&kept), "title": "Buy bread", "tags": ["home"]},
        {"op": "complete", "id": id(&kept)},
        {"op": "update", "id": id(&changed), "title": "Buy bread"},
        {"op": "delete", "id": id(&gone)},
        {"op": "create", "title": "Buy jam"},
    ]});
    let done = app.post("/tasks/batch").header("x-request-id", "mistake").json(batch);
    let done = done.await;
    let made = done.body["results"][4]["task"]["id"].clone();
    // Another person has a request with the same id.
    let others = app.post("/tasks").by(user(2)).header("x-request-id", "mistake");
    others.json(json!({"title": "Theirs"})).await.is_task(201, 1);
    app.patch(&changed).json(json!({"title": "Buy cheese"})).await.is_task(200, 3);
    app.patch(&kept).json(json!({"priority": "high"})).await;

    undo(&app, "mistake").await.is_problem(503, "projection-behind");
    project(&app).await;
    let undone = undo(&app, "mistake").await;
    assert_eq!(statuses(&undone), [200, 200, 200, 409]);
    assert!(undone.headers.contains_key("consistency-token"));
    let back = task(&undone, &id(&kept));
    assert_eq!(
        [&back["title"], &back["status"], &back["priority"], &back["tags"]],
        [&json!("Buy milk"), &json!("open"), &json!("high"), &json!([])]
    );
    let results = undone.body["results"].as_array().unwrap();
    let refused = results.iter().find(|result| result["status"] == 409);
    assert_eq!(refused.unwrap()["problem"]["code"], "changed-since");
    assert_eq!(task(&undone, &id(&gone))["deleted_at"], Value::Null);
    assert!(task(&undone, made.as_str().unwrap())["deleted_at"].is_string());

    // The second time nothing changes.
    project(&app).await;
    let again = undo(&app, "mistake").await;
    assert_eq!(statuses(&again), [200, 200, 200, 409]);
    for id in [id(&kept), id(&gone), made.as_str().unwrap().to_owned()] {
        assert_eq!(task(&again, &id), task(&undone, &id));
    }
    // An undo is a request, too.
    let request = undone.header("x-request-id");
    let redone = undo(&app, request).await;
    assert_eq!(statuses(&redone), [200, 200, 200]);
    assert_eq!(task(&redone, &id(&kept))["title"], "Buy bread");
}

#[tokio::test]
async fn nothing_is_undone_by_read_models_that_come_from_another_log() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let change = app.patch(&path).header("x-request-id", "mistake");
    change.json(json!({"title": "Buy bread"})).await.is_task(200, 2);
    project(&app).await;
    let other = "UPDATE checkpoints SET event_id = $1";
    let of_another_log = [uuid::Uuid::from_u128(7).into()];
    app.read_models.execute(other, &of_another_log).await.unwrap();
    undo(&app, "mistake").await.is_problem(503, "projection-behind");

    project(&app).await;
    assert_eq!(statuses(&undo(&app, "mistake").await), [200]);
}

#[tokio::test]
async fn what_a_request_did_to_others_or_not_at_all_is_not_found() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let theirs = app.post("/tasks").by(user(2)).header("x-request-id", "theirs");
    let theirs = theirs.json(json!({"title": "Theirs"})).await;
    theirs.is_task(201, 1);
    project(&app).await;
    for request in ["theirs", "nobody"] {
        undo(&app, request).await.is_problem(404, "not-found");
    }
    for (body, code) in [
        (json!({}), "required"),
        (json!({"request_id": 1}), "wrong-type"),
        (json!({"request_id": ""}), "malformed"),
        (json!({"request_id": "a b"}), "malformed"),
        (json!({"request_id": "a".repeat(129)}), "malformed"),
    ] {
        let reply = app.post("/tasks/undo").json(body).await;
        reply.is_invalid(&[("/request_id", code)]);
    }
}

#[tokio::test]
async fn with_a_key_an_undo_has_one_answer() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let made = app.post("/tasks").header("x-request-id", "made");
    let made = made.json(json!({"title": "a"})).await;
    let path = made.header("location").to_owned();
    project(&app).await;
    let undo = async || {
        let request = app.post("/tasks/undo").header("idempotency-key", "k");
        request.json(json!({"request_id": "made"})).await
    };
    let first = undo().await;
    assert_eq!(statuses(&first), [200]);
    app.post(&format!("{path}/restore")).await.is_task(200, 3);
    project(&app).await;
    let again = undo().await;
    assert_eq!(again.body, first.body);
    assert_eq!(app.events(&path).await.len(), 3, "it is not undone again");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_undos_look_through_a_slow_audit_trail_one_by_one_and_not_for_long() {
    let stage = Stage::new(Footing::Postgres).await;
    let app = App::start(&stage).await;
    app.task().await;
    project(&app).await;
    let mut holder = app.read_models.begin().await.unwrap();
    let lock = "LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE";
    holder.execute(lock, &[]).await.unwrap();
    let undos = join_all((1..=4).map(|n| {
        let request = app.post("/tasks/undo").by(user(n));
        request.json(json!({"request_id": "any"})).send()
    }));
    let undos = tokio::time::timeout(Duration::from_secs(10), undos);
    // The next one may begin before the server notices that the one before was given up, after two seconds.
    let waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                   AND query LIKE '%FROM audit_log%'";
    let at_once = format!(
        "SELECT count(*) AS n {waiting} AND query_start < (SELECT min(query_start) {waiting}) + interval '1 second'"
    );
    let looking = async || app.operations.fetch_all(&at_once, &[]).await.unwrap()[0].unsigned("n").unwrap();
    let look = async {
        eventually("somebody looks", async || looking().await > 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        looking().await
    };
    let (undos, looking) = tokio::join!(undos, look);
    assert_eq!(looking, 1);
    for undo in undos.unwrap() {
        undo.is_problem(503, "overloaded");
        assert!(undo.headers.contains_key("retry-after"));
    }
    drop(holder);
    undo(&app, "any").await.is_problem(404, "not-found");
}
