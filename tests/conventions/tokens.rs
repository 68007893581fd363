//! Requests without a valid access token, and what login, registration and refresh refuse.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::problem;
use crate::support::{Person, until};

pub(super) async fn tokens(ada: &Person) {
    let mut stranger = ada.clone();
    for (token, code) in [("", "token-missing"), ("nonsense", "token-invalid"), ("a.b.c", "token-invalid")] {
        stranger.token = token.to_owned();
        for (method, path) in [(Method::GET, "/tasks"), (Method::POST, "/tasks"), (Method::GET, "/auth/me")] {
            let body = (method == Method::POST).then(|| json!({"title": "a"}));
            let answer = stranger.send(method, path, body).await;
            problem(&answer, 401, code);
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{:?}", answer.headers);
        }
    }
    let (head, signature) = ada.token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    stranger.token = format!("{head}.{first}{}", &signature[1..]);
    problem(&stranger.get("/tasks").await, 401, "token-invalid");

    let mut leaver = Person::join(&ada.base, "leaver").await;
    leaver.get("/tasks").await.expect(200);
    leaver.send(Method::POST, "/auth/logout", None).await.expect(204);
    until("the query API hears of the logout", Duration::from_secs(30), async || {
        leaver.get("/tasks").await.status == 401
    })
    .await;
    problem(&leaver.get("/tasks").await, 401, "session-ended");
    let used = leaver.refresh_token.clone();
    leaver.token.clear();
    problem(&leaver.post("/auth/refresh", json!({"refresh_token": used})).await, 401, "session-ended");

    let body = json!({"email": ada.email, "password": "a wrong passphrase"});
    problem(&stranger.post("/auth/login", body).await, 401, "bad-credentials");
    let body = json!({"email": "nobody@example.org", "password": "a wrong passphrase"});
    problem(&stranger.post("/auth/login", body).await, 401, "bad-credentials");
    let body = json!({"email": ada.email.to_uppercase(), "password": "a wrong passphrase"});
    stranger.token.clear();
    problem(&stranger.post("/auth/register", body).await, 409, "email-taken");
    for password in ["short", "passwordpassword", &"x".repeat(129)] {
        let body = json!({"email": "new@example.org", "password": password});
        let answer = stranger.post("/auth/register", body).await;
        problem(&answer, 422, "validation-failed");
        assert_eq!(answer.body["errors"][0]["pointer"], "/password");
    }
}
