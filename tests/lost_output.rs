//! What a command prints may get lost: its reader has gone, or the disk is full. That makes no success of a failure,
//! and no failure of what was done.

use std::{
    fs::File,
    io::pipe,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Deployment, Person, System, until};

/// A standard output whose reader has gone, as `head` has after its lines.
fn closed() -> Stdio {
    let (_, writer) = pipe().unwrap();
    writer.into()
}

/// A file on a full disk.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[track_caller]
fn code(command: &mut Command) -> i32 {
    command.status().unwrap().code().unwrap()
}

/// The outcomes of the last two commands.
fn outcomes(system: &System) -> Vec<Value> {
    let log = ["audit", "log", "--format", "json", "--type", "operation.finished", "-n", "2"];
    let output = system.tool(&log).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|entry| entry["operation"]["outcome"].clone()).collect()
}

#[tokio::test]
async fn embedded_lost_output_makes_no_success_of_a_failure_and_no_failure_of_what_was_done() {
    let system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    ada.post("/tasks", json!({"title": "One"})).await.expect(201);
    system.read_models_equal_the_log().await;
    let read_models = system.read_models().await;
    let tamper = "UPDATE tasks SET title = 'Another'";
    read_models.execute(tamper, &[]).await.unwrap();

    assert_eq!(code(system.tool(&["projection", "verify"]).stdout(closed())), 141);
    assert_eq!(code(system.tool(&["projection", "verify"]).stdout(full())), 1);
    assert_eq!(code(system.tool(&["events", "export"]).stdout(closed())), 141);
    assert_eq!(code(system.tool(&["events", "tail"]).stdout(closed())), 141);
    assert_eq!(code(system.tool(&["config"]).stdout(full())), 1);
    let mut comparing = system.tool(&["projection", "rebuild", "--verify", "--yes"]);
    assert_eq!(code(comparing.stdout(closed())), 1, "the tables differ");
    let titles = "SELECT COUNT(*) AS tasks FROM tasks WHERE title = 'Another'";
    let tampered = async || {
        let row = read_models.fetch_optional(titles, &[]).await.unwrap();
        row.unwrap().unsigned("tasks").unwrap()
    };
    assert_eq!(tampered().await, 1);
    // It does what it is told to do, and only its answer is lost.
    let mut rebuilding = system.tool(&["projection", "rebuild", "--yes"]);
    assert_eq!(code(rebuilding.stdout(closed()).stderr(full())), 141);
    assert_eq!(tampered().await, 0);
    system.read_models_equal_the_log().await;
    assert_eq!(outcomes(&system), [json!("failed"), json!("succeeded")]);

    // Whoever cannot say why they fail fails all the same, and in order.
    let mut absent = system.tool(&["events", "import", "absent.ndjson"]);
    assert_eq!(code(absent.stderr(full())), 1);
    assert_eq!(code(system.tool(&["no-command"]).stderr(full())), 2);
    // Whoever follows notices it although nothing happens that could be written.
    for arguments in [
        &["events", "tail", "-n", "0", "--follow"][..],
        &["audit", "log", "-n", "0", "--format", "json", "--follow"],
    ] {
        let (reader, writer) = pipe().unwrap();
        let mut following = system.tool(arguments).stdout(writer).spawn().unwrap();
        drop(reader);
        until("it ends", Duration::from_secs(30), async || following.try_wait().unwrap().is_some()).await;
        assert_eq!(following.wait().unwrap().code(), Some(141), "{arguments:?}");
    }
    read_models.close().await;
    system.stop().await;
}
