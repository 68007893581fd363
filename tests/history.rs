//! The history of tasks, changes and counts in the running system.

use serde_json::json;

use crate::support::{Deployment, Person, System};

#[tokio::test]
async fn embedded_past() {
    past(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_on_postgres_and_rabbitmq() {
    past(Deployment::Servers).await;
}

async fn past(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let created =
        ada.post("/tasks", json!({"title": "Draft", "tags": ["a"], "due": "2030-12-01"})).await.expect(201);
    let path = format!("/tasks/{}", created.body["id"].as_str().unwrap());
    let first = ada.get("/tasks/changes").await.expect(200);
    assert_eq!(first.body["changed"], json!([created.body]));
    assert_eq!((&first.body["deleted"], &first.body["more"]), (&json!([]), &json!(false)));

    let mut states = vec![created.body.clone()];
    for change in [
        json!({"title": "Report"}),
        json!({"description": "Two pages.", "priority": "high"}),
        json!({"status": "done"}),
        json!({"due": null, "tags": null}),
    ] {
        states.push(ada.patch(&path, change).await.expect(200).body);
    }
    let now = &states[4];
    let summary = ada.get("/tasks/summary").await.expect(200).body;
    assert_eq!(
        (&summary["total"], &summary["by_status"]["done"], &summary["by_priority"]["high"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(summary["completed_last_7_days"], json!(1));
    ada.delete(&path).await.expect(204);

    // While the task is in the trash its owner still sees its whole history, and nobody else does.
    let history = ada.get(&format!("{path}/history")).await.expect(200).body;
    let items = history["items"].as_array().unwrap();
    let mut shown = json!({});
    for (item, version) in items.iter().zip(1..) {
        assert_eq!(item["version"], version);
        for change in item["changes"].as_array().unwrap() {
            let field = change["field"].as_str().unwrap();
            assert_eq!(change["from"], shown[field].take().clone(), "{item}");
            shown[field] = change["to"].clone();
        }
        if let Some(state) = states.iter().find(|state| state["version"] == version) {
            for field in ["title", "status", "priority", "description", "due", "completed_at"] {
                assert_eq!(shown[field], state[field], "{field} at version {version}");
            }
        }
    }
    let trashed = items.last().unwrap();
    assert_eq!((&trashed["type"], &trashed["version"]), (&json!("task.deleted"), &json!(8)));
    for state in &states {
        let version = &state["version"];
        let was = ada.get(&format!("{path}?version={version}")).await.expect(200);
        assert_eq!(&was.body, state);
        assert_eq!(was.header("etag"), format!("\"{version}\""));
        let at = state["updated_at"].as_str().unwrap();
        assert_eq!(&ada.get(&format!("{path}?as_of={at}")).await.expect(200).body, state);
    }
    ada.get(&format!("{path}?version=9")).await.expect(404);
    for rest in ["/history", "?version=1"] {
        assert_eq!(bob.get(&format!("{path}{rest}")).await.expect(404).code(), "not-found");
    }

    let since = first.body["next"].as_str().unwrap();
    let changed = ada.get(&format!("/tasks/changes?since={since}")).await.expect(200).body;
    assert_eq!((&changed["changed"], &changed["deleted"]), (&json!([]), &json!([now["id"]])));
    assert_eq!(bob.get(&format!("/tasks/changes?since={since}")).await.expect(400).code(), "bad-cursor");
    for path in ["/tasks/summary", "/tasks/changes"] {
        assert_eq!(ada.delete(path).await.expect(405).header("allow"), "GET, HEAD");
    }
    system.read_models_equal_the_log().await;
    system.stop().await;
}

/// A client that polls for changes while others write receives every task.
#[tokio::test]
async fn embedded_changes_are_complete_while_tasks_are_written() {
    changes_are_complete(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_complete_while_tasks_are_written_on_postgres_and_rabbitmq() {
    changes_are_complete(Deployment::Servers).await;
}

async fn changes_are_complete(deployment: Deployment) {
    const WRITERS: usize = 4;
    const TASKS: usize = 25;
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let write = async |writer: usize| {
        for number in 0..TASKS {
            let title = json!({"title": format!("{writer} {number}")});
            let task = ada.post("/tasks", title).await.expect(201).body;
            let path = format!("/tasks/{}", task["id"].as_str().unwrap());
            ada.patch(&path, json!({"status": "done"})).await.expect(200);
        }
    };
    let follow = async {
        let (mut tasks, mut query) = (std::collections::BTreeMap::new(), String::new());
        while tasks.len() < WRITERS * TASKS || tasks.values().any(|status| status != "done") {
            let page = ada.get(&format!("/tasks/changes{query}")).await.expect(200).body;
            for task in page["changed"].as_array().unwrap() {
                tasks.insert(task["id"].to_string(), task["status"].clone());
            }
            query = format!("?limit=7&since={}", page["next"].as_str().unwrap());
        }
    };
    let writers = futures::future::join_all((0..WRITERS).map(write));
    let work = futures::future::join(writers, follow);
    tokio::time::timeout(std::time::Duration::from_secs(180), work).await.unwrap();
    system.stop().await;
}
