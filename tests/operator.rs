//! The operator's commands beside a running system.

use std::{io::Write as _, process::Output};

use serde_json::{Value, json};

use crate::support::{
    Deployment, Person, Role, System, Workload, at_its_question, binary, park_a_later_event,
};

/// Runs a command, checks its exit code, and returns its output.
#[track_caller]
fn run(system: &System, code: i32, arguments: &[&str]) -> String {
    let output = system.tool(arguments).output().unwrap();
    said(&output, code, arguments)
}

#[track_caller]
fn said(output: &Output, code: i32, arguments: &[&str]) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}\n{errors}");
    text
}

#[track_caller]
fn lines_of_json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn embedded_tools() {
    tools(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_on_postgres_and_rabbitmq() {
    tools(Deployment::Servers).await;
}

async fn tools(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let mut tasks = Vec::new();
    for number in 0..5 {
        tasks.push(ada.create(&format!("Task {number}")).await);
    }
    system.read_models_equal_the_log().await;
    events(&system, &tasks);
    parked(&system, &ada, &tasks[0]).await;
    projection(&system, &tasks[1]).await;
    system.stop().await;
}

fn events(system: &System, tasks: &[String]) {
    let tail = run(system, 0, &["events", "tail", "-n", "3"]);
    assert_eq!(tail.lines().count(), 3, "{tail}");
    assert!(tail.lines().last().unwrap().contains(&format!("task-{} v1", tasks[4])), "{tail}");
    let created = run(system, 0, &["events", "tail", "--from", "1", "--type", "task.created", "--json"]);
    let created = lines_of_json(&created);
    assert_eq!(created.len(), 5);
    assert_eq!(created[0]["data"]["title"], "Task 0");

    let stream = format!("task-{}", tasks[2]);
    let one = run(system, 0, &["events", "tail", "--stream", &stream]);
    assert_eq!(one.lines().count(), 1, "{one}");
    let shown = run(system, 0, &["events", "show", &stream]);
    assert!(shown.contains("\"title\": \"Task 2\"") && shown.contains("correlation id"), "{shown}");
    let position = created[2]["position"].to_string();
    let shown = lines_of_json(&run(system, 0, &["events", "show", &position, "--json"]));
    assert_eq!(shown, [created[2].clone()]);
    run(system, 1, &["events", "show", "999999"]);
    run(system, 1, &["events", "show", "task-of-nobody"]);
    run(system, 2, &["events", "show"]);

    let whole = run(system, 0, &["events", "tail", "--from", "1", "--json"]);
    assert!(whole.contains("account.registered") && !whole.contains("argon2"), "a password hash is shown");
    let stats = lines_of_json(&run(system, 0, &["events", "stats", "--json"]));
    assert_eq!(stats[0]["types"]["task.created"], 5);
    assert_eq!(stats[0]["streams"]["task"], 5);
    assert_eq!(stats[0]["head"], whole.lines().count());
    assert!(run(system, 0, &["events", "stats"]).contains("task.created"));
}

async fn parked(system: &System, ada: &Person, task: &str) {
    assert_eq!(run(system, 0, &["parked", "list"]), "nothing is parked\n");
    let stream = format!("task-{task}");
    park_a_later_event(system, &stream).await;

    let list = lines_of_json(&run(system, 0, &["parked", "list", "--json"]));
    assert_eq!(list.len(), 1);
    let position = list[0]["position"].to_string();
    assert!(run(system, 0, &["parked", "list"]).contains("task.teleported"));
    let shown = run(system, 0, &["parked", "show", &position]);
    assert!(shown.contains("unknown event type") && shown.contains(&stream), "{shown}");
    run(system, 1, &["parked", "show", "1"]);
    run(system, 1, &["parked", "retry", "--all"]);
    run(system, 2, &["parked", "retry"]);
    let list = lines_of_json(&run(system, 0, &["parked", "list", "--json"]));
    assert_eq!(list[0]["attempts"], 2);
    let status = lines_of_json(&run(system, 0, &["projection", "status", "--json"]));
    let counts = status[0]["partitions"].as_array().unwrap().iter();
    assert_eq!(counts.map(|it| it["parked"].as_u64().unwrap()).sum::<u64>(), 1);
    for verify in [&["projection", "verify"][..], &["projection", "verify", "--sample", "20"]] {
        let compared = run(system, 3, verify);
        assert!(compared.contains("parked of 1 stream (`taskledger parked list`"), "{compared}");
    }
    let report = lines_of_json(&run(system, 3, &["projection", "verify", "--json"]));
    assert_eq!((&report[0]["differences"], &report[0]["parked_streams"]), (&json!([]), &json!(1)));

    run(system, 0, &["parked", "discard", &position]);
    run(system, 1, &["parked", "discard", &position]);
    assert_eq!(run(system, 0, &["parked", "retry", "--all"]), "nothing is parked\n");
    ada.get(&format!("/tasks/{task}")).await.expect(200);
    system.read_models_equal_the_log().await;
}

async fn projection(system: &System, task: &str) {
    let list = run(system, 0, &["projection", "list"]);
    assert!(list.contains("audit_log"), "{list}");
    assert!(run(system, 0, &["projection", "status"]).contains("partition"));
    assert!(run(system, 0, &["projection", "verify"]).starts_with("equal"));
    assert!(run(system, 0, &["projection", "verify", "--sample", "20"]).starts_with("equal"));

    let database = system.read_models().await;
    let tamper = format!("UPDATE tasks SET title = 'Tampered' WHERE id = '{task}'");
    database.execute(&tamper, &[]).await.unwrap();
    let difference = format!("tasks differs in row {task}: title");
    assert!(run(system, 1, &["projection", "verify"]).contains(&difference));
    assert!(run(system, 1, &["projection", "verify", "--sample", "20"]).contains(&difference));
    let report = lines_of_json(&run(system, 1, &["projection", "verify", "--json"]));
    assert_eq!(report[0]["differences"], json!([difference]));

    run(system, 1, &["projection", "rollback", "--yes"]);
    run(system, 2, &["projection", "rebuild"]);
    // With `--verify` a rebuild reports the difference, and without it repairs it.
    assert!(run(system, 1, &["projection", "rebuild", "--verify", "--yes"]).contains(&difference));
    run(system, 1, &["projection", "verify"]);
    run(system, 0, &["projection", "rebuild", "--yes"]);
    run(system, 0, &["projection", "verify"]);
    run(system, 0, &["projection", "rollback", "--yes"]);
    run(system, 1, &["projection", "verify"]);
    run(system, 0, &["projection", "rollback", "--yes"]);
    run(system, 0, &["projection", "rebuild", "--verify", "--yes"]);
    system.read_models_equal_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_rebuild_under_load() {
    rebuild_under_load(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuild_under_load_on_postgres_and_rabbitmq() {
    rebuild_under_load(Deployment::Servers).await;
}

/// Rebuilds while the workload runs, which checks that every answer is right.
async fn rebuild_under_load(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let workload = Workload::start(&system.base, 8).await;
    for arguments in [["projection", "rebuild", "--yes"], ["projection", "rollback", "--yes"]] {
        workload.progress(60).await;
        let mut command = system.tool(&arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        said(&output, 0, &arguments);
    }
    workload.progress(60).await;
    if deployment == Deployment::Servers {
        // Whether the first rebuild was killed in the middle or had ended, the next one succeeds.
        let mut killed = system.tool(&["projection", "rebuild", "--yes"]).spawn().unwrap();
        workload.progress(5).await;
        let _ = killed.kill();
        killed.wait().unwrap();
        system.kill(Role::Projector);
        system.launch(Role::Projector);
        system.ready().await;
    }
    workload.finish().await;
    run(&system, 0, &["projection", "rebuild", "--verify", "--yes"]);
    system.read_models_equal_the_log().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_rebuild_of_a_stopped_system_waits_for_the_start_to_be_compared() {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    system.terminate_all();
    run(&system, 0, &["projection", "rebuild", "--yes"]);
    // Its end is recorded when it has ended, and nobody projects that.
    let behind = run(&system, 3, &["projection", "verify"]);
    assert!(behind.contains("by its next start"), "{behind}");
    system.launch(Role::Up);
    system.ready().await;
    system.read_models_equal_the_log().await;
    run(&system, 0, &["projection", "verify"]);
    system.stop().await;
}

#[tokio::test]
async fn embedded_commands_that_ask_change_nothing_without_a_yes() {
    let system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    let email = ada.email.as_str();
    run(&system, 0, &["projection", "rebuild", "--yes"]);
    for arguments in [
        &["users", "grant", email, "admin"][..],
        &["projection", "rollback"],
        &["users", "reset", email],
        &["users", "revoke-tokens", email],
        &["users", "erase", email],
        &["parked", "discard", "1"],
    ] {
        let mut terminal = at_its_question(&system, arguments);
        let mut keyboard = terminal.stdin.take().unwrap();
        keyboard.write_all(b"n\n").unwrap();
        let output = terminal.wait_with_output().unwrap();
        let text = said(&output, 1, arguments);
        assert!(text.contains("nothing was changed"), "{arguments:?}: {text}");
    }
    system.stop().await;
}

#[test]
fn tools_without_a_system_say_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [["events", "stats"], ["parked", "list"], ["projection", "list"]] {
        let output = binary().args(arguments).env("TASKLEDGER_DATA_DIR", directory.path()).output().unwrap();
        said(&output, 1, &arguments);
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(sentence.contains("taskledger migrate"), "{sentence}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
