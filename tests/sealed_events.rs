//! Personal data is sealed in the log: its tables, files and backups reveal none of it. Everything else works as
//! before, also while the master key is rotated.

use std::time::Duration;

use database::{Database, Schema};
use reqwest::Method;
use serde_json::json;

use crate::support::{Deployment, Person, Role, System, until};

const NAME: &str = "Augusta of Ockham";
const TITLE: &str = "Ask the oncologist about Tuesday";
const DESCRIPTION: &str = "Second opinion of Doctor Whitcombe";
const TAG: &str = "chemotherapy";
const TOKEN: &str = "Backup of the lighthouse";
const USER_AGENT: &str = "Lighthouse-Browser/7";
const REQUEST: &str = "request-of-augusta";
const KEY: &str = "order-of-augusta";
const ADDRESS: &str = "127.0.0.1";

#[tokio::test(flavor = "multi_thread")]
async fn embedded_logs_hold_nothing_personal() {
    nothing_personal_in_clear(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_log_nor_the_bus_holds_anything_personal_on_postgres_and_rabbitmq() {
    nothing_personal_in_clear(Deployment::Servers).await;
}

/// Sends personal words wherever the API accepts text.
async fn leave_traces(system: &System) -> (Person, String) {
    let mut ada = Person::join(&system.base, "ada").await;
    ada.patch("/auth/me", json!({"display_name": NAME})).await.expect(200);
    let headers = [("User-Agent", USER_AGENT), ("X-Request-Id", REQUEST), ("Idempotency-Key", KEY)];
    let body = json!({"email": ada.email, "password": crate::support::PASSWORD});
    let login = ada.try_send(Method::POST, "/auth/login", Some(body), &headers[..2]);
    let login = login.await.unwrap().expect(200);
    ada.token = login.body["access_token"].as_str().unwrap().to_owned();
    ada.post("/auth/tokens", json!({"name": TOKEN, "scopes": ["tasks:read"]})).await.expect(201);
    let task = json!({"title": TITLE, "description": DESCRIPTION, "tags": [TAG], "priority": "urgent"});
    let created = ada.try_send(Method::POST, "/tasks", Some(task.clone()), &headers);
    let created = created.await.unwrap().expect(201);
    let path = format!("/tasks/{}", created.body["id"].as_str().unwrap());
    // A repeated request is found by its idempotency key, which is sealed in the log.
    let again = ada.try_send(Method::POST, "/tasks", Some(task), &headers);
    assert_eq!(again.await.unwrap().expect(201).body["id"], created.body["id"]);
    ada.patch(&path, json!({"title": format!("{TITLE}!")})).await.expect(200);
    ada.post(&format!("{path}/complete"), json!({})).await.expect(200);
    (ada, path)
}

async fn nothing_personal_in_clear(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    if let Some(broker) = &system.proxy {
        broker.record();
        for replica in system.replicas() {
            system.kill(replica);
            system.launch(replica);
        }
        system.ready().await;
    }
    let (ada, path) = leave_traces(&system).await;
    system.read_models_equal_the_log().await;
    let personal = [NAME, TITLE, DESCRIPTION, TAG, TOKEN, USER_AGENT, REQUEST, KEY, ADDRESS, &ada.email];

    let store = event_store::open(&system.store_url(), 1).await.unwrap();
    let stored = store.stored_page(0, 1_000).await.unwrap().events;
    assert!(stored.iter().any(|event| event.kind == "account.token_created"));
    assert!(stored.iter().any(|event| event.kind == "task.created"
        && String::from_utf8_lossy(event.data.whole().unwrap()).contains(r#""priority":"urgent""#)));
    for event in &stored {
        let text = format!(
            "{} {} {}",
            event.stream,
            String::from_utf8_lossy(&event.metadata),
            String::from_utf8_lossy(event.data.whole().unwrap())
        );
        for word in personal {
            assert!(!text.contains(word), "{word} is in the log: {text}");
        }
    }
    if deployment == Deployment::Embedded {
        for name in ["events.db", "events.db-wal", "audit-tree.db", "audit-tree.db-wal"] {
            let bytes = std::fs::read(system.data_dir().join(name)).unwrap_or_default();
            for word in personal {
                let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
                assert!(!found, "{word} is in {name}");
            }
        }
    }
    if let Some(broker) = &system.proxy {
        let pieces = broker.recorded();
        let sent = |word: &str| {
            let mut pieces = pieces.iter();
            pieces.any(|piece| piece.windows(word.len()).any(|window| window == word.as_bytes()))
        };
        assert!(sent("task.created"));
        // The client's address and the request id go to auth with each token.
        for word in [NAME, TITLE, DESCRIPTION, TAG, TOKEN, USER_AGENT, KEY] {
            assert!(!sent(word), "the broker has seen {word}");
        }
    }

    // An operator with the keys can read everything, and so can a rebuild.
    let shown = system.run(&["events", "show", &path.replace("/tasks/", "task-")]);
    for word in [TITLE, DESCRIPTION, TAG, REQUEST, KEY] {
        assert!(shown.contains(word), "{shown}");
    }
    system.run(&["projection", "rebuild", "--yes"]);
    system.run(&["projection", "verify"]);
    system.run(&["audit", "verify"]);
    let task = ada.get(&path).await.expect(200).body;
    assert_eq!((&task["title"], &task["status"]), (&json!(format!("{TITLE}!")), &json!("done")));
    rotate(&mut system, &ada, &path).await;
    system.stop().await;
}

/// Without the keys every sealed event would be parked, and tables without people would take over.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_nothing_is_projected_again_without_the_keys_of_people() {
    let mut system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    ada.post("/tasks", json!({"title": TITLE})).await.expect(201);
    system.read_models_equal_the_log().await;
    system.run(&["projection", "rebuild", "--yes"]);
    // The command is recorded in the log.
    system.read_models_equal_the_log().await;
    system.terminate_all();
    let elsewhere = Database::file_url(&system.directory().join("other-keys.db"));
    for place in ["absent", "empty"] {
        for command in [
            &["projection", "rebuild", "--yes"][..],
            &["projection", "rollback", "--yes"],
            &["projection", "verify"],
        ] {
            let mut tool = system.tool(command);
            let refused = tool.env("KEYS_DATABASE_URL", &elsewhere).output().unwrap();
            let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(1), "{place}: {command:?}: {sentence}");
            assert!(sentence.contains("no keys of people are at"), "{place}: {command:?}: {sentence}");
        }
        system.run(&["projection", "verify"]);
        let keys = Database::open(&elsewhere, Schema::SubjectKeys, 1).await.unwrap();
        keys.close().await;
    }
    system.stop().await;
}

/// While another command has the lock, the commands that change the file are refused.
fn one_command_at_a_time_changes_the_master_keys(system: &System) {
    let path = system.data_dir().join("keys/master-keys.lock");
    let other = std::fs::File::create(path).unwrap();
    other.lock().unwrap();
    for command in ["rotate", "retire"] {
        let refused = system.tool(&["keys", "master", command]).output().unwrap();
        let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && sentence.contains("at work on"), "{command}: {sentence}");
    }
}

/// Rotates the master key under load.
async fn rotate(system: &mut System, ada: &Person, path: &str) {
    let file = system.data_dir().join("keys/master-keys");
    let before = std::fs::read_to_string(&file).unwrap();
    one_command_at_a_time_changes_the_master_keys(system);
    system.run(&["keys", "master", "rotate"]);
    system.run(&["keys", "master", "rotate"]);
    let after = std::fs::read_to_string(&file).unwrap();
    assert_eq!(after.lines().count(), 2, "the second call makes no third key");
    assert!(after.ends_with(&before));
    ada.patch(path, json!({"title": "After the rotation"})).await.expect(200);
    let bob = Person::join(&system.base, "bob").await;
    bob.post("/tasks", json!({"title": "Of bob"})).await.expect(201);

    // Only the new key is needed, also after caches are empty.
    std::fs::write(&file, after.lines().next().unwrap()).unwrap();
    for replica in system.replicas() {
        if replica.role != Role::Gateway {
            system.kill(replica);
            system.launch(replica);
        }
    }
    system.ready().await;
    until("the task is served again", Duration::from_secs(30), async || ada.get(path).await.status == 200)
        .await;
    let renamed = json!({"title": "With the new key alone"});
    ada.patch(path, renamed).await.expect(200);
    system.read_models_equal_the_log().await;

    // With the keys of another system nothing starts, since it would seal under the wrong keys.
    let mut wrong = system.tool(&["projection", "verify"]);
    let refused = wrong.env("TASKLEDGER_MASTER_KEYS", "ef".repeat(32)).output().unwrap();
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && sentence.contains("TASKLEDGER_MASTER_KEYS"), "{sentence}");

    // Nothing starts without any keys either, since it would create others.
    let elsewhere = system.directory().join("other-keys.db");
    let mut lost = system.tool(&["keys", "master", "rotate"]);
    let refused =
        lost.env("KEYS_DATABASE_URL", format!("sqlite://{}", elsewhere.display())).output().unwrap();
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && sentence.contains("restore them from their backup"), "{sentence}");
}
