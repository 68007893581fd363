//! Password resets, and what is left to somebody who was in an account before.

use serde_json::json;

use super::{TIMEOUT, at_once, is_refused_everywhere, is_served_everywhere, is_shown, with_token};
use crate::support::{Answer, Deployment, PASSWORD, Person, System, until};

const NEXT: &str = "violet harbour lantern";

#[tokio::test(flavor = "multi_thread")]
async fn embedded_recovery_ends_what_an_intruder_has() {
    recovery_ends_what_an_intruder_has(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_ends_what_an_intruder_has_on_postgres_and_rabbitmq() {
    recovery_ends_what_an_intruder_has(Deployment::Servers).await;
}

fn offered(system: &System, email: &str) -> String {
    let output = system.tool(&["users", "reset", email, "--yes"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains(&format!("{email}: account ")), "{shown}");
    // A script takes whatever is on the standard output for the token.
    let said = String::from_utf8(output.stdout).unwrap();
    let token = said.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace), "{said}");
    token.to_owned()
}

async fn reset(person: &Person, token: &str) -> Answer {
    let body = json!({"reset_token": token, "new_password": NEXT});
    person.post("/auth/reset", body).await
}

/// A program token that the intruder made and the owner does not know of.
async fn back_door(person: &Person) -> Person {
    let wish = json!({"name": "Backup", "scopes": ["tasks:read", "tasks:write"]});
    let made = person.post("/auth/tokens", wish).await.expect(201).body;
    let program = with_token(person, made["token"].as_str().unwrap());
    is_shown(&program, "/tasks").await;
    program.post("/tasks", json!({"title": "Stay"})).await.expect(201);
    program
}

async fn recovery_ends_what_an_intruder_has(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let door = back_door(&ada).await;
    is_served_everywhere(&ada).await;

    let (older, token) = (offered(&system, &ada.email), offered(&system, &ada.email));
    let bobs = offered(&system, &bob.email);
    let mut changed = token.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'B' } else { 'A' });
    let mixed = format!("{}{}", &bobs[..32], &token[32..]);
    for bad in [older.as_str(), changed.as_str(), mixed.as_str(), "", ada.refresh_token.as_str()] {
        assert_eq!(reset(&ada, bad).await.expect(401).code(), "token-invalid");
    }
    reset(&ada, &token).await.expect(204);
    assert_eq!(reset(&ada, &token).await.expect(401).code(), "token-invalid", "once");
    let old = json!({"email": ada.email, "password": PASSWORD});
    assert_eq!(ada.post("/auth/login", old).await.expect(401).code(), "bad-credentials");
    for left in [&ada, &door] {
        at_once("nothing is left to the intruder", async || is_refused_everywhere(left).await).await;
    }
    let refresh = json!({"refresh_token": ada.refresh_token});
    assert_eq!(ada.post("/auth/refresh", refresh).await.expect(401).code(), "session-ended");
    is_served_everywhere(&bob).await;

    // An admin disables an account and enables it again. Tokens from before stay invalid.
    let root = system.join_admin().await;
    let door = back_door(&bob).await;
    let me = bob.get("/auth/me").await.expect(200).body;
    let id = me["user"]["id"].as_str().unwrap();
    for act in ["disable", "enable"] {
        let path = format!("/auth/users/{id}/{act}");
        until(act, TIMEOUT, async || root.post(&path, json!({})).await.status == 200).await;
    }
    for left in [&bob, &door] {
        at_once("nothing is left to the intruder", async || is_refused_everywhere(left).await).await;
    }
    assert_eq!(reset(&bob, &bobs).await.expect(401).code(), "token-invalid", "it was offered before");
    system.stop().await;
}
