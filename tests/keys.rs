//! Signing keys are rotated under load, and no request fails.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};

use crate::support::{Deployment, Person, System, until};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_keys_are_rotated_without_a_refused_token() {
    rotation(Deployment::Embedded, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_without_a_refused_token_on_postgres_and_rabbitmq() {
    rotation(Deployment::Servers, 2).await;
}

/// The key id in a line of a command's output.
fn kid_in(line: &str) -> String {
    line.split_whitespace().next().unwrap().to_owned()
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&BASE64URL.decode(header).unwrap()).unwrap()
}

async fn rotation(deployment: Deployment, replicas: usize) {
    let mut system = System::launched(deployment, replicas).await;
    system.ready().await;
    let mut ada = Person::join(&system.base, "ada").await;
    let old = header(&ada.token);
    let published = system.run(&["keys", "generate", "--algorithm", "es256"]);
    let new = kid_in(&published);
    until("the key is published", Duration::from_secs(10), async || {
        let jwks = ada.get("/.well-known/jwks.json").await.expect(200).body;
        jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == new.as_str())
    })
    .await;
    assert_eq!(kid_in(&system.run(&["keys", "rotate"])), new);

    // By then the new key signs, and roles that had not loaded it have had time to refuse a token.
    let end = Instant::now() + Duration::from_secs(36);
    let mut tokens = vec![ada.token.clone()];
    while Instant::now() < end {
        let body = json!({"refresh_token": ada.refresh_token});
        let refreshed = ada.post("/auth/refresh", body).await.expect(200).body;
        ada.token = refreshed["access_token"].as_str().unwrap().to_owned();
        ada.refresh_token = refreshed["refresh_token"].as_str().unwrap().to_owned();
        tokens.push(ada.token.clone());
        for base in &system.bases {
            let other = Person { base: base.clone(), ..ada.clone() };
            other.get("/tasks").await.expect(200);
            other.post("/tasks", json!({"title": "Rotate"})).await.expect(201);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let newest = header(&ada.token);
    assert_eq!((&newest["kid"], &newest["alg"]), (&json!(new), &json!("ES256")));
    let oldest = Person { token: tokens[0].clone(), ..ada.clone() };
    oldest.get("/tasks").await.expect(200);

    let old = old["kid"].as_str().unwrap();
    let remembered = Person { token: tokens[1].clone(), ..ada.clone() };
    let refused = system.tool(&["keys", "retire", old]).output().unwrap();
    assert!(!refused.status.success(), "its tokens are good yet: {refused:?}");
    for base in &system.bases {
        // Every role has cached this token.
        let caller = Person { base: base.clone(), ..remembered.clone() };
        caller.get("/tasks").await.expect(200);
        caller.post("/tasks", json!({"title": "Retire"})).await.expect(201);
    }
    system.run(&["keys", "retire", old, "--force"]);
    for base in &system.bases {
        let caller = Person { base: base.clone(), ..remembered.clone() };
        until("its tokens are refused", Duration::from_secs(8), async || {
            caller.get("/auth/me").await.status == 401
                && caller.get("/tasks").await.status == 401
                && caller.post("/tasks", json!({"title": "Retired"})).await.status == 401
        })
        .await;
    }
    let listed = system.run(&["keys", "list"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    ada.get("/auth/me").await.expect(200);
    system.stop().await;
}
