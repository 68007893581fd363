//! The reasons that admins give for changes to an account: they are in the audit trail, sealed in the log, and erased
//! with the person.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Deployment, Person, System};

const ACTS: [(&str, &str, &str); 4] = [
    ("account.disabled", "disable", "Quarrel 1, as the ticket says"),
    ("account.enabled", "enable", "Quarrel 2 was settled"),
    ("account.roles_changed", "roles", "Quarrel 3: helps the auditors"),
    ("account.reset_offered", "reset", "Quarrel 4: forgot it"),
];

#[tokio::test(flavor = "multi_thread")]
async fn embedded_admins_say_why() {
    admins_say_why(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_say_why_on_postgres_and_rabbitmq() {
    admins_say_why(Deployment::Servers).await;
}

async fn act(admin: &Person, id: &str, act: &str, reason: Option<&str>) {
    let path = format!("/auth/users/{id}/{act}");
    let mut body = json!({});
    if act == "roles" {
        body["roles"] = json!(["user", "auditor"]);
    }
    if let Some(reason) = reason {
        body["reason"] = json!(reason);
    }
    let method = if act == "roles" { Method::PUT } else { Method::POST };
    admin.send(method, &path, Some(body)).await.expect(200);
}

/// The reasons in the audit trail, by the type of the event.
async fn told(viewer: &Person, id: &str) -> Vec<(String, Value)> {
    let mut told = Vec::new();
    for (kind, ..) in ACTS {
        let path = format!("/audit/events?type={kind}&subject={id}");
        let items = viewer.get(&path).await.expect(200).body["items"].clone();
        told.extend(items.as_array().unwrap().iter().map(|item| {
            assert_eq!(item["operation"]["by"], Value::Null, "{item}");
            (kind.to_owned(), item["operation"]["reason"].clone())
        }));
    }
    told
}

async fn admins_say_why(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut admin = Person::join(&system.base, "admin").await;
    let mut bob = Person::join(&system.base, "bob").await;
    system.run(&["users", "grant", &admin.email, "admin", "--yes"]);
    admin.log_in().await;
    let me = bob.get("/auth/me").await.expect(200).body;
    let id = me["user"]["id"].as_str().unwrap().to_owned();
    for reason in ["", "two\nlines", "asked by ada@example.com", &"x".repeat(501)] {
        let path = format!("/auth/users/{id}/disable");
        let refused = admin.post(&path, json!({"reason": reason})).await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], "/reason", "{}", refused.body);
    }
    for (_, path, reason) in ACTS {
        act(&admin, &id, path, Some(reason)).await;
    }
    // Without a reason there is none in the trail.
    act(&admin, &id, "disable", None).await;
    act(&admin, &id, "enable", None).await;
    system.read_models_equal_the_log().await;

    bob.log_in().await;
    let mut expected: Vec<(String, Value)> = Vec::new();
    for (kind, _, reason) in ACTS {
        if ["account.disabled", "account.enabled"].contains(&kind) {
            expected.push((kind.to_owned(), Value::Null));
        }
        expected.push((kind.to_owned(), json!(reason)));
    }
    for viewer in [&admin, &bob] {
        assert_eq!(told(viewer, &id).await, expected);
    }
    let table = system.run(&["audit", "log", "--format", "csv"]);
    assert!(ACTS.iter().all(|(_, _, reason)| table.contains(reason)), "{table}");
    let store = event_store::open(&system.store_url(), 1).await.unwrap();
    for event in store.stored_page(0, 1_000).await.unwrap().events {
        let text = String::from_utf8_lossy(event.data.whole().unwrap()).into_owned();
        assert!(!text.contains("Quarrel"), "{text}");
    }

    system.run(&["users", "erase", &id, "--yes", "--reason", "As bob asked"]);
    system.read_models_equal_the_log().await;
    let nothing: Vec<_> = expected.into_iter().map(|(kind, _)| (kind, Value::Null)).collect();
    for _ in 0..2 {
        assert_eq!(told(&admin, &id).await, nothing);
        let table = system.run(&["audit", "log", "--format", "csv"]);
        assert!(!table.contains("Quarrel") && table.contains("As bob asked"), "{table}");
        system.run(&["projection", "rebuild", "--yes"]);
        system.read_models_equal_the_log().await;
    }
    system.stop().await;
}
