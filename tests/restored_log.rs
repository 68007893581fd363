//! The log is restored from a backup, or fails over to a standby without its last events, so that positions name
//! other events. The system notices and reports it, projects nothing over it, and is repaired by one command.

use std::{fs, process::Command, time::Duration};

use database::{Database, Schema};
use reqwest::Method;
use serde_json::json;

use crate::support::{Deployment, Person, Replica, Role, System, park_a_later_event, until};

const TIMEOUT: Duration = Duration::from_secs(60);
/// What a backup of an embedded system has.
const DATABASES: [(&str, Schema); 4] = [
    ("audit-tree", Schema::AuditTree),
    ("operations", Schema::Operations),
    ("events", Schema::EventStore),
    ("subject-keys", Schema::SubjectKeys),
];

#[tokio::test(flavor = "multi_thread")]
async fn embedded_restore_of_an_older_log() {
    restore(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_an_older_log_on_postgres_and_rabbitmq() {
    restore(Deployment::Servers).await;
}

/// A backup, more tasks, a restore, and a start.
async fn restore(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    create(&ada, "Kept", 3).await;
    system.read_models_equal_the_log().await;
    let backup = head(&system).await;
    create(&ada, "Lost", 3).await;
    system.read_models_equal_the_log().await;
    if deployment == Deployment::Servers {
        // These events are published, and still in the queues when the log is restored.
        system.kill(Role::Projector);
        create(&ada, "Lost", 3).await;
    }
    stop(&mut system).await;
    cut_log(&system, backup).await;

    for replica in system.replicas() {
        system.launch(replica);
    }
    let projector = projector(deployment);
    let complains = async || says(&system, projector, "taskledger restore check --repair");
    until("it is said which command to run", TIMEOUT, complains).await;
    // One that was not acknowledged may have taken effect. With its key it does so once.
    until("commands are accepted", TIMEOUT, async || {
        let (task, key) = (json!({"title": "New"}), [("Idempotency-Key", "the-first")]);
        let answer = ada.try_send(Method::POST, "/tasks", Some(task), &key).await;
        answer.unwrap().status == 201
    })
    .await;
    create(&ada, "New", 8).await;
    // Readiness uses a result of a moment ago.
    until("the projector does not say that it does its job", TIMEOUT, async || !system.is_ready().await)
        .await;
    assert_eq!(projected(&system, "New").await, 0, "projected over another history");

    assert_eq!(run(&system, &["restore", "check"]), 1);
    assert_eq!(run(&system, &["restore", "check", "--repair"]), 0);
    is_whole(&mut system, &ada, 3, 9).await;
    assert_eq!(run(&system, &["restore", "check"]), 0);
    assert_eq!(run(&system, &["projection", "verify"]), 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_loss_of_the_tail_while_everything_runs() {
    loss_of_the_tail(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loss_of_the_tail_while_everything_runs_on_postgres_and_rabbitmq() {
    loss_of_the_tail(Deployment::Servers).await;
}

/// The tail is replaced by other events before any role can notice.
async fn loss_of_the_tail(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    create(&ada, "Kept", 3).await;
    let backup = head(&system).await;
    let lost = create(&ada, "Lost", 4).await;
    system.read_models_equal_the_log().await;
    replace_tail(&system, backup, 6).await;

    let projector = projector(deployment);
    let complains = async || says(&system, projector, "taskledger restore check --repair");
    until("the projector notices", TIMEOUT, complains).await;
    let publisher = match deployment {
        Deployment::Embedded => Role::Up,
        Deployment::Servers | Deployment::KurrentDb => Role::CommandApi,
    };
    let goes_back = async || says(&system, publisher.into(), "the log is not the one");
    until("the relay notices", TIMEOUT, goes_back).await;
    assert_eq!(projected(&system, "New").await, 0, "projected over another history");
    for task in &lost {
        ada.post(&format!("/tasks/{task}/complete"), json!({})).await.expect(404);
    }

    assert_eq!(run(&system, &["restore", "check", "--repair"]), 0);
    create(&ada, "New", 2).await;
    is_whole(&mut system, &ada, 3, 8).await;
    system.stop().await;
}

/// Other events may be at the positions of those that are parked.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_what_is_parked_of_another_log_is_not_retried() {
    let system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    let kept = create(&ada, "Kept", 1).await.remove(0);
    let stream = format!("task-{kept}");
    park_a_later_event(&system, &stream).await;
    let backup = head(&system).await;
    create(&ada, "Lost", 3).await;
    system.read_models_equal_the_log().await;
    replace_tail(&system, backup, 3).await;
    for which in ["--all", stream.as_str()] {
        let (code, said) = system.outcome(&["parked", "retry", which]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("taskledger restore check --repair"), "{said}");
    }
    let parked = projector::parked(&system.read_models().await, 0).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].attempts, 1, "it was retried");
    system.stop().await;
}

/// Checks that everything matches the log, with `kept` old and `new` new tasks and none of the lost ones.
async fn is_whole(system: &mut System, ada: &Person, kept: usize, new: usize) {
    system.ready().await;
    system.read_models_equal_the_log().await;
    // The first reads may carry a token of a lost state, which is not refused for ever.
    until("reads are answered", TIMEOUT, async || ada.get("/tasks").await.status == 200).await;
    let page = ada.get("/tasks?limit=100").await.expect(200);
    let titles: Vec<&str> =
        page.body["items"].as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap()).collect();
    let count = |wanted: &str| titles.iter().filter(|title| **title == wanted).count();
    assert_eq!((count("Kept"), count("New"), count("Lost")), (kept, new, 0), "{titles:?}");
}

async fn create(person: &Person, title: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let created = person.post("/tasks", json!({ "title": title })).await.expect(201);
        ids.push(created.body["id"].as_str().unwrap().to_owned());
    }
    ids
}

/// After a kill, changes since the backup are in files beside the databases. They must not get into what is restored.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_restore_by_the_documented_steps_gives_exactly_the_backup() {
    let mut system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    create(&ada, "Kept", 3).await;
    for (name, schema) in DATABASES {
        let url = system.database_url(&format!("{name}.db"));
        let database = Database::connect(&url, schema, 1).await.unwrap();
        let part = if name == "subject-keys" { "keys" } else { "log" };
        let directory = system.directory().join("backup").join(part);
        fs::create_dir_all(&directory).unwrap();
        let copy = directory.join(format!("{name}.bak"));
        let copy = copy.to_str().unwrap().into();
        database.execute("VACUUM INTO $1", &[copy]).await.unwrap();
        database.close().await;
    }
    let copied =
        Command::new("cp").args(["-R", "data/keys", "backup/keys/"]).current_dir(system.directory()).status();
    assert!(copied.unwrap().success());
    let backup = head(&system).await;
    create(&ada, "Lost", 30).await;
    Person::join(&system.base, "bob").await;
    let mut origin = String::new();
    until("the audit tree is ahead of the backup", TIMEOUT, async || {
        let (name, size) = audit_tree(&system).await;
        origin = name;
        size > backup
    })
    .await;
    system.kill(Role::Up);
    for name in ["events", "subject-keys"] {
        let wal = system.data_dir().join(format!("{name}.db-wal"));
        assert!(fs::metadata(wal).unwrap().len() > 0, "{name}");
    }

    let page = include_str!("../docs/operations.md");
    let blocks = page.split("```\n").filter(|block| block.contains("\"$file-wal\""));
    let steps: String = blocks.collect();
    assert!(steps.contains("backup/log/") && steps.contains("backup/keys/"));
    let status = Command::new("sh").args(["-euc", &steps]).current_dir(system.directory()).status();
    assert!(status.unwrap().success());
    for (name, schema) in DATABASES {
        let url = system.database_url(&format!("{name}.db"));
        let database = Database::connect(&url, schema, 1).await.unwrap();
        let checked = database.fetch_all("PRAGMA integrity_check", &[]).await.unwrap();
        assert_eq!(checked[0].text("integrity_check").unwrap(), "ok", "{name}");
        database.close().await;
    }
    assert_eq!(head(&system).await, backup);

    // Neither the log nor the keys know what happened after the backup.
    for (arguments, expected) in [(&["restore", "check"][..], 1), (&["restore", "check", "--repair"][..], 0)]
    {
        let (code, said) = system.outcome(arguments);
        assert_eq!(code, expected, "{said}");
        assert!(said.contains("taskledger users erase"), "{said}");
    }
    assert_eq!(run(&system, &["restore", "check"]), 0);
    system.launch(Role::Up);
    system.ready().await;
    create(&ada, "New", 2).await;
    is_whole(&mut system, &ada, 3, 2).await;
    assert_eq!(run(&system, &["projection", "verify"]), 0);
    let (code, said) = system.outcome(&["restore", "check"]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("users erase"), "{said}");
    until("the audit tree goes on", TIMEOUT, async || audit_tree(&system).await.1 > backup).await;
    assert_ne!(audit_tree(&system).await.0, origin, "other events are signed under the same origin");
    system.stop().await;
}

/// Waits until the audit tree has a checkpoint of events.
pub(crate) async fn audit_tree_is_signed(system: &System) {
    until("the audit tree is signed", TIMEOUT, async || audit_tree(system).await.1 > 0).await;
}

/// The origin of the audit tree and its size, by its checkpoint.
pub(crate) async fn audit_tree(system: &System) -> (String, u64) {
    let answer = reqwest::get(format!("{}/audit/checkpoint", system.base)).await;
    let note = answer.unwrap().text().await.unwrap();
    let mut lines = note.lines();
    let origin = lines.next().unwrap_or_default().to_owned();
    let size = lines.next().and_then(|size| size.parse().ok());
    (origin, size.unwrap_or_default())
}

fn projector(deployment: Deployment) -> Replica {
    match deployment {
        Deployment::Embedded => Role::Up.into(),
        Deployment::Servers | Deployment::KurrentDb => Role::Projector.into(),
    }
}

fn says(system: &System, replica: Replica, text: &str) -> bool {
    system.log_text(replica).contains(text)
}

/// Runs a command and returns its exit code.
#[track_caller]
fn run(system: &System, arguments: &[&str]) -> i32 {
    let output = system.tool(arguments).output().unwrap();
    eprintln!(
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.code().unwrap()
}

async fn stop(system: &mut System) {
    for replica in system.replicas() {
        if system.is_running(replica) {
            system.terminate(replica);
        }
    }
}

async fn log(system: &System) -> Database {
    Database::connect(&system.database_url("events.db"), Schema::EventStore, 1).await.unwrap()
}

async fn head(system: &System) -> u64 {
    let log = log(system).await;
    let rows = log.fetch_all("SELECT max(position) AS head FROM events", &[]).await.unwrap();
    log.close().await;
    rows[0].unsigned("head").unwrap()
}

/// Removes the events that a backup at `position` does not have.
async fn cut_log(system: &System, position: u64) {
    let log = log(system).await;
    let cut = log.execute("DELETE FROM events WHERE position > $1", &[position.into()]).await;
    assert!(cut.unwrap() > 0);
    log.close().await;
}

/// Replaces the tail by `count` tasks of the same person in one transaction.
async fn replace_tail(system: &System, position: u64, count: u64) {
    let store = system.open_log().await;
    let mut template = None;
    for event in test_support::read_all(&*store, 0, 1_000).await {
        if event.kind == "task.created" {
            template = Some(event);
        }
    }
    let template = template.unwrap();
    let data = String::from_utf8(template.data.to_vec()).unwrap();
    let data = data.replace("Lost", "New").into_bytes();
    let log = log(system).await;
    let mut tx = log.begin().await.unwrap();
    tx.execute("DELETE FROM events WHERE position > $1", &[position.into()]).await.unwrap();
    for place in 1..=count {
        tx.execute(
            "INSERT INTO events
                 (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data)
             VALUES ($1, 1, $2, 1, $3, $4, 'task.created', 'json', $5, $6)",
            &[
                (position + place).into(),
                template.recorded_at.as_micros().into(),
                uuid::Uuid::new_v4().into(),
                format!("task-{}", uuid::Uuid::now_v7()).into(),
                serde_json::to_string(&template.metadata).unwrap().into(),
                data.clone().into(),
            ],
        )
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    log.close().await;
}

/// The number of tasks with this title in the read models.
async fn projected(system: &System, title: &str) -> u64 {
    let read_models =
        Database::connect(&system.database_url("read-models.db"), Schema::ReadModels, 1).await.unwrap();
    let rows = read_models
        .fetch_all("SELECT count(*) AS tasks FROM tasks WHERE title = $1", &[title.into()])
        .await
        .unwrap();
    read_models.close().await;
    rows[0].unsigned("tasks").unwrap()
}
