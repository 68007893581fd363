//! The law of batches: a batch has the same effects and answers as its commands one after another, each in its own
//! request.

use proptest::{
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::support::{App, Reply, Stage, user};

/// Tasks of the caller, one of someone else, and one that does not exist.
const TASKS: usize = 5;

/// A command of a batch, and the index of its task.
#[derive(Debug, Clone)]
struct Step {
    task: Option<usize>,
    command: Map<String, Value>,
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { panic!("no object: {value}") };
    fields
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let title = select(vec![json!("a"), json!("b"), json!(" b "), json!(""), json!(null), json!(1)]);
    let description = select(vec![json!("a"), json!(null), json!(true)]);
    let priority = select(vec![json!("low"), json!("high"), json!("extreme")]);
    let due = select(vec![json!("2026-12-01"), json!(null), json!("soon")]);
    let tags = select(vec![json!(["a"]), json!(["a", "a"]), json!(null)]);
    (
        option::weighted(0.9, title),
        option::weighted(0.3, description),
        option::weighted(0.3, priority),
        option::weighted(0.3, due),
        option::weighted(0.3, tags),
    )
        .prop_map(|(title, description, priority, due, tags)| {
            let names = ["title", "description", "priority", "due", "tags"];
            names
                .into_iter()
                .zip([title, description, priority, due, tags])
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect()
        })
}

fn step() -> impl Strategy<Value = Step> {
    let create = fields().prop_map(|mut command| {
        command.insert("op".to_owned(), json!("create"));
        Step { task: None, command }
    });
    let status = option::weighted(0.3, select(vec!["open", "in_progress", "done", "cancelled", "lost"]));
    let update = (fields(), status).prop_map(|(mut command, status)| {
        command.insert("op".to_owned(), json!("update"));
        if let Some(status) = status {
            command.insert("status".to_owned(), json!(status));
        }
        command
    });
    let verb = select(vec!["start", "complete", "cancel", "reopen", "delete", "restore"])
        .prop_map(|op| object(json!({"op": op})));
    let on_a_task = (0..TASKS, prop_oneof![update, verb], option::weighted(0.2, 1..6_u64)).prop_map(
        |(task, mut command, if_match)| {
            if let Some(version) = if_match {
                command.insert("if_match".to_owned(), json!(version));
            }
            Step { task: Some(task), command }
        },
    );
    prop_oneof![1 => create, 4 => on_a_task]
}

async fn tasks(app: &App) -> Vec<String> {
    let mut paths = Vec::new();
    for _ in 0..TASKS - 2 {
        paths.push(app.task().await);
    }
    let others = app.post("/tasks").by(user(2)).json(json!({"title": "Not yours"})).await;
    paths.push(others.header("location").to_owned());
    paths.push(format!("/tasks/{}", uuid::Uuid::now_v7()));
    paths
}

async fn at_once(app: &App, steps: &[Step]) -> Vec<Value> {
    let paths = tasks(app).await;
    let commands: Vec<Value> = steps
        .iter()
        .map(|step| {
            let mut command = step.command.clone();
            if let Some(task) = step.task {
                command.insert("id".to_owned(), json!(paths[task].strip_prefix("/tasks/")));
            }
            Value::Object(command)
        })
        .collect();
    let reply = app.post("/tasks/batch").json(json!({ "commands": commands })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results = reply.body["results"].as_array().unwrap();
    results
        .iter()
        .enumerate()
        .map(|(index, result)| comparable(result.clone(), &format!("/commands/{index}"), &paths))
        .collect()
}

async fn one_after_another(app: &App, steps: &[Step]) -> Vec<Value> {
    let paths = tasks(app).await;
    let mut results = Vec::new();
    for step in steps {
        let reply = alone(app, step, &paths).await;
        let mut result = object(json!({"status": reply.status.as_u16()}));
        match reply.status.as_u16() {
            204 => {}
            200 | 201 => _ = result.insert("task".to_owned(), reply.body),
            _ => _ = result.insert("problem".to_owned(), reply.body),
        }
        results.push(comparable(Value::Object(result), "", &paths));
    }
    results
}

async fn alone(app: &App, step: &Step, paths: &[String]) -> Reply {
    let mut body = step.command.clone();
    let op = body.remove("op");
    let if_match = body.remove("if_match");
    let path = step.task.map_or("/tasks", |task| &paths[task]);
    let request = match op.as_ref().and_then(Value::as_str).unwrap() {
        "create" => app.post(path).json(Value::Object(body)),
        "update" => app.patch(path).json(Value::Object(body)),
        "delete" => app.delete(path),
        verb => app.post(&format!("{path}/{verb}")),
    };
    match if_match {
        Some(version) => request.if_match(&format!("\"{version}\"")),
        None => request,
    }
    .await
}

/// Removes what differs between any two runs: ids, instants, request ids; and moves pointers below `at`.
fn comparable(mut result: Value, at: &str, paths: &[String]) -> Value {
    if let Some(Value::Object(task)) = result.get_mut("task") {
        let path = format!("/tasks/{}", task["id"].as_str().unwrap());
        task.insert("id".to_owned(), json!(paths.iter().position(|known| *known == path)));
        for name in ["created_at", "updated_at", "completed_at", "deleted_at"] {
            let there = !task[name].is_null();
            task.insert(name.to_owned(), json!(there));
        }
    }
    if let Some(Value::Object(problem)) = result.get_mut("problem") {
        problem.remove("request_id");
        for error in problem.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
            error["pointer"] = json!(error["pointer"].as_str().unwrap().strip_prefix(at).unwrap());
        }
    }
    result
}

#[test]
fn a_batch_equals_its_commands_one_after_another() {
    let runtime = Runtime::new().unwrap();
    let (_stage, app) = runtime.block_on(async {
        let stage = Stage::sqlite().await;
        let app = App::start(&stage).await;
        (stage, app)
    });
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    runner
        .run(&proptest::collection::vec(step(), 1..30), |steps| {
            let (batch, alone) = runtime
                .block_on(async { (at_once(&app, &steps).await, one_after_another(&app, &steps).await) });
            prop_assert_eq!(batch, alone);
            Ok(())
        })
        .unwrap();
    runtime.block_on(app.stop());
}
