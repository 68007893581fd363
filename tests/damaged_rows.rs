//! Rows of no known form in the tables of every role: they are the trouble of whom they are about, and of nobody else.
//! The read models are whole again after a rebuild.

use std::{process::Command, time::Duration};

use database::{Database, Schema, Value};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Deployment, PASSWORD, Person, System, until};

const OPERATIONS: (Schema, &str) = (Schema::Operations, "operations.db");
const READ_MODELS: (Schema, &str) = (Schema::ReadModels, "read-models.db");
const KEYS: (Schema, &str) = (Schema::SubjectKeys, "subject-keys.db");
const AUDIT: (Schema, &str) = (Schema::AuditTree, "audit-tree.db");

/// Statements that damage rows; `$1` is the person whose trouble it is.
const DAMAGES: [((Schema, &str), &str); 18] = [
    (OPERATIONS, "UPDATE relay_progress SET position = -1 WHERE partition = 0"),
    (OPERATIONS, "UPDATE relay_progress SET partition = -1 WHERE partition = 1"),
    (OPERATIONS, "UPDATE authentication_failures SET failures = -5"),
    (OPERATIONS, "UPDATE familiar_addresses SET days = -1"),
    (OPERATIONS, "UPDATE idempotency_keys SET response = '{' WHERE owner = $1"),
    (
        OPERATIONS,
        "INSERT INTO password_hash_costs (kind, micros) VALUES ('of tomorrow', -1)",
    ),
    (READ_MODELS, "UPDATE tasks SET status = 'paused', tags = '{' WHERE owner = $1"),
    (READ_MODELS, "UPDATE task_history SET changes = '{' WHERE owner = $1"),
    (READ_MODELS, "UPDATE accounts SET roles = '{' WHERE id = $1"),
    (
        READ_MODELS,
        "UPDATE sessions SET end_reason = 'boredom', ended_at = 0 WHERE account = $1",
    ),
    (READ_MODELS, "UPDATE audit_log SET operation = '{' WHERE subject = $1"),
    (READ_MODELS, "UPDATE checkpoints SET position = -7 WHERE partition = 1"),
    (READ_MODELS, "UPDATE checkpoints SET partition = -1 WHERE partition = 2"),
    (
        READ_MODELS,
        "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
         SELECT -1, 'task-' || CAST(id AS TEXT), -3, 'task.renamed', owner, 'by hand', -2 FROM tasks WHERE owner = $1",
    ),
    (
        READ_MODELS,
        "INSERT INTO discarded_events (position, stream, version, type, subject, reason)
         SELECT -1, 'task-' || CAST(id AS TEXT), -3, 'task.renamed', owner, 'by hand' FROM tasks WHERE owner = $1",
    ),
    (READ_MODELS, "INSERT INTO unfinished_purges (task, position) VALUES ($1, -1)"),
    (READ_MODELS, "INSERT INTO erased_subjects (subject, position) VALUES ($1, -1)"),
    (
        AUDIT,
        "INSERT INTO tree_cosignatures (tree, size, witness, line)
         SELECT tree, size, 'nobody', 'no signature' FROM tree_checkpoints",
    ),
];

/// What is read only at the start.
const BEFORE_A_START: [((Schema, &str), &str); 2] = [
    DAMAGES[0],
    (
        KEYS,
        "INSERT INTO followed_erasures (number, position, event, people) VALUES (1, -1, $1, -1)
         ON CONFLICT (number) DO UPDATE SET position = -1, people = -1",
    ),
];

/// Columns of SQLite hold values of any type.
const OF_SQLITE: [((Schema, &str), &str); 5] = [
    (OPERATIONS, "INSERT INTO pending_erasures (subject, begun_at) VALUES ('nobody', 'once')"),
    (READ_MODELS, "INSERT INTO unfinished_erasures (subject) VALUES ('nobody')"),
    (READ_MODELS, "UPDATE checkpoints SET position = 'far' WHERE partition = 3"),
    (READ_MODELS, "UPDATE tasks SET deleted_at = 1, id = 'none', grams = NULL WHERE owner = $1"),
    (KEYS, "UPDATE data_keys SET master_key = x'00', created_at = 'once' WHERE subject = $1"),
];

/// Only several replicas share partitions.
const OF_POSTGRES: [((Schema, &str), &str); 1] =
    [(READ_MODELS, "UPDATE partition_leases SET partition = -1 WHERE partition = 3")];

async fn damage(system: &System, ((schema, file), sql): &((Schema, &str), &str), person: Uuid) {
    let database = Database::connect(&system.database_url(file), *schema, 1).await.unwrap();
    let values: Vec<Value> = sql.contains("$1").then(|| person.into()).into_iter().collect();
    let changed = database.execute(sql, &values).await;
    assert!(changed.unwrap() > 0, "{sql}");
    database.close().await;
}

async fn id_of(person: &Person) -> Uuid {
    let me = person.get("/auth/me").await.expect(200);
    me.body["user"]["id"].as_str().unwrap().parse().unwrap()
}

/// Somebody with a task and an answer to a command, whose password was guessed at.
async fn somebody(system: &System) -> Person {
    let person = Person::join(&system.base, "somebody").await;
    let task = json!({"title": "Water the plants"});
    let key = [("Idempotency-Key", "once")];
    let created = person.try_send(Method::POST, "/tasks", Some(task), &key).await;
    created.unwrap().expect(201);
    let guess = json!({"email": person.email, "password": "a rather wrong passphrase"});
    person.post("/auth/login", guess).await.expect(401);
    person
}

/// Whoever was there before and whoever comes can do everything.
async fn others_go_on(system: &System, other: &mut Person) {
    const RECOVERY_TIMEOUT: Duration = Duration::from_secs(30);
    other.log_in().await;
    let refresh = json!({"refresh_token": other.refresh_token});
    other.post("/auth/refresh", refresh).await.expect(200);
    let title = Uuid::new_v4().to_string();
    let created = other.post("/tasks", json!({"title": title})).await.expect(201);
    let path = format!("/tasks/{}", created.body["id"].as_str().unwrap());
    until("their task is projected", RECOVERY_TIMEOUT, async || other.get(&path).await.status == 200).await;
    until("what they had is there", RECOVERY_TIMEOUT, async || {
        let listed = other.get("/tasks?limit=100").await;
        let items = listed.body["items"].as_array().cloned().unwrap_or_default();
        items.iter().any(|item| item["title"] == "Water the plants")
            && items.iter().any(|item| item["title"] == *title)
    })
    .await;
    other.get(&format!("{path}/history")).await.expect(200);
    other.get("/tasks/changes").await.expect(200);
    other.get("/tasks/summary").await.expect(200);
    other.get("/audit/events").await.expect(200);
    other.get("/audit/checkpoint").await.expect(200);

    let newcomer = somebody(system).await;
    let password = json!({"password": PASSWORD});
    newcomer.send(Method::DELETE, "/auth/me", Some(password)).await.expect(204);
    until("nothing is left of whoever is erased", RECOVERY_TIMEOUT, async || {
        let database = system.read_models().await;
        let left = "SELECT id FROM accounts WHERE email = $1";
        let left = database.fetch_optional(left, &[newcomer.email.as_str().into()]).await;
        left.unwrap().is_none()
    })
    .await;
}

async fn stay_with_whom_they_are_about(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let unlucky = somebody(&system).await;
    let mut other = somebody(&system).await;
    system.read_models_equal_the_log().await;
    until("a checkpoint is signed", Duration::from_secs(30), async || {
        other.get("/audit/checkpoint").await.status == 200
    })
    .await;
    let id = id_of(&unlucky).await;
    let mut damages = DAMAGES.to_vec();
    match deployment {
        Deployment::Embedded => damages.extend(OF_SQLITE),
        Deployment::Servers | Deployment::KurrentDb => damages.extend(OF_POSTGRES),
    }
    for one in &damages {
        damage(&system, one, id).await;
    }
    others_go_on(&system, &mut other).await;
    system.ready().await;

    let replicas = system.replicas();
    for replica in &replicas {
        system.kill(*replica);
    }
    for one in &BEFORE_A_START {
        damage(&system, one, id).await;
    }
    for replica in &replicas {
        system.launch(*replica);
    }
    system.ready().await;
    others_go_on(&system, &mut other).await;
    let logs: String = system.replicas().into_iter().map(|replica| system.log_text(replica)).collect();
    for table in ["relay_progress", "checkpoints", "password_hash_costs", "followed_erasures"] {
        let line = format!("table=\"{table}\"");
        let named = logs.lines().any(|log| log.contains("a row cannot be read") && log.contains(&line));
        assert!(named, "{table}");
    }

    let run = |mut command: Command| command.output().unwrap();
    // Where the key of a person is damaged, more is parked in the tables that are made.
    let is_parked = deployment == Deployment::Embedded;
    let rebuilt = run(system.tool(&["projection", "rebuild", "--yes", "--force"]));
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let verified = run(system.tool(&["projection", "verify"]));
    let said = String::from_utf8_lossy(&verified.stdout);
    let code = if is_parked { 3 } else { 0 };
    assert_eq!(verified.status.code(), Some(code), "{verified:?}");
    assert!(said.starts_with("equal") && said.contains("parked") == is_parked, "{verified:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_no_known_form_are_the_trouble_of_whom_they_are_about() {
    stay_with_whom_they_are_about(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_no_known_form_are_the_trouble_of_whom_they_are_about_on_postgres() {
    stay_with_whom_they_are_about(Deployment::Servers).await;
}
