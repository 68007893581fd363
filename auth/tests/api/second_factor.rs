//! `POST /auth/me/totp`, `/confirm` and `DELETE /auth/me/totp`.

use std::{collections::BTreeSet, time::Duration};

use auth_client::{REVOCATIONS, Revocation};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use data_encoding::BASE32_NOPAD;
use events::Role;
use http::Method;
use serde_json::{Value, json};

use crate::support::{ADA, Answer, App, PASSWORD, heard};

/// The code of an authenticator app after this many steps of thirty seconds.
pub(crate) fn code(app: &App, secret: &str, steps: i64) -> String {
    let step = app.dependencies.clock.now().as_seconds() / 30 + steps;
    test_support::totp_code(secret, step)
}

/// A six-digit code that is wrong.
pub(crate) fn wrong(app: &App, secret: &str) -> String {
    let right: Vec<_> = (-1..=1).map(|steps| code(app, secret, steps)).collect();
    (0..).map(|number| format!("{number:06}")).find(|code| !right.contains(code)).unwrap()
}

pub(crate) async fn enroll(app: &App, access: &str, password: &str) -> Answer {
    let call = app.post("/auth/me/totp").token(access);
    call.json(&json!({ "password": password })).send().await
}

pub(crate) async fn confirm(app: &App, access: &str, code: &str) -> Answer {
    let call = app.post("/auth/me/totp/confirm").token(access);
    call.json(&json!({ "code": code })).send().await
}

pub(crate) async fn remove(app: &App, access: &str, code: &str) -> Answer {
    let call = app.call(Method::DELETE, "/auth/me/totp").token(access);
    call.json(&json!({"password": PASSWORD, "code": code})).send().await
}

/// The token of a login that waits for a code.
pub(crate) async fn mfa_token(app: &App) -> String {
    let answer = app.login(ADA, PASSWORD).await;
    answer.expect(401, "second-factor-required").text("/mfa_token")
}

pub(crate) async fn go_on(app: &App, mfa_token: &str, code: &str) -> Answer {
    let body = json!({"mfa_token": mfa_token, "code": code});
    app.post("/auth/login/second-factor").json(&body).send().await
}

/// A person with a second factor: an access token from before, the secret, and the recovery codes.
pub(crate) async fn enrolled(app: &App) -> (String, String, Vec<String>) {
    let (access, _) = app.sign_in(ADA).await;
    let answer = enroll(app, &access, PASSWORD).await.expect(200, "");
    let secret = answer.text("/secret");
    confirm(app, &access, &code(app, &secret, 0)).await.expect(204, "");
    let codes = answer.body["recovery_codes"].as_array().unwrap().iter();
    let codes = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
    app.clock.advance(60);
    (access, secret, codes)
}

pub(crate) fn claims(access: &str) -> Value {
    let payload = access.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn it_is_given_up_for_the_password_and_a_code() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    remove(&app, &access, &wrong(&app, &secret)).await.expect(401, "bad-credentials");
    remove(&app, &access, &code(&app, &secret, 0)).await.expect(204, "");
    remove(&app, &access, &code(&app, &secret, 1)).await.expect(404, "not-found");
    app.login(ADA, PASSWORD).await.expect(200, "");
    let again = enroll(&app, &access, PASSWORD).await.expect(200, "");
    assert_ne!(again.text("/secret"), secret);
}

#[tokio::test]
async fn giving_it_up_is_told_to_whoever_remembers_tokens() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    let me = app.id_of(&access).await;
    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    remove(&app, &access, &code(&app, &secret, 0)).await.expect(204, "");
    assert_eq!(heard(&mut *revocations).await, Revocation::Account(me));
}

#[tokio::test]
async fn the_log_holds_neither_the_secret_nor_a_code() {
    let app = App::start().await;
    let (_, secret, codes) = enrolled(&app).await;
    let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    for recorded in app.log().await {
        let data = String::from_utf8_lossy(&recorded.data).into_owned();
        for text in codes.iter().chain([&secret, &hex::encode(&bytes), &BASE64URL.encode(&bytes)]) {
            assert!(!data.contains(text.as_str()), "{data}");
        }
    }
}

#[tokio::test]
async fn a_role_can_ask_for_a_second_factor() {
    let lenient = App::start().await;
    lenient.sign_in_admin(ADA).await;
    let app = lenient.replica(|config, _| config.second_factor_roles = [Role::Admin].into()).await;
    // It would answer checks over the bus, too.
    lenient.background.shut_down(Duration::from_secs(10)).await;
    let (weak, _) = app.sign_in(ADA).await;
    assert_eq!(claims(&weak)["roles"], json!(["user"]));
    app.get_as(&weak, "/auth/users").await.expect(403, "forbidden");
    let secret = enroll(&app, &weak, PASSWORD).await.expect(200, "").text("/secret");
    confirm(&app, &weak, &code(&app, &secret, 0)).await.expect(204, "");
    app.clock.advance(60);
    let token = mfa_token(&app).await;
    let strong = go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
    let strong = strong.text("/access_token");
    app.project(app.log().await.len() as u64).await;
    app.get_as(&strong, "/auth/users").await.expect(200, "");

    // A program token has the strength of the session in which it was made.
    for (session, may) in [(&weak, false), (&strong, true)] {
        let body = json!({"name": "Trail", "scopes": ["audit:read"]});
        let made = app.post("/auth/tokens").token(session).json(&body).send().await;
        let token = made.expect(201, "").text("/token");
        let roles = roles_of(&app, &token).await;
        assert_eq!(roles.contains(&Role::Admin), may, "{roles:?}");
        assert!(roles.contains(&Role::User), "{roles:?}");
    }
}

/// The roles of this token.
async fn roles_of(app: &App, token: &str) -> BTreeSet<Role> {
    let identity = app.verifier().await.verify(token).await;
    identity.unwrap().roles.clone()
}

#[tokio::test]
async fn nobody_guesses_a_factor_into_force() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let answer = enroll(&app, &access, PASSWORD).await.expect(200, "");
    let secret = answer.text("/secret");
    for _ in 0..5 {
        confirm(&app, &access, &wrong(&app, &secret)).await.expect(401, "bad-credentials");
    }
    confirm(&app, &access, &code(&app, &secret, 0)).await.expect(429, "rate-limited");
    app.clock.advance(30);
    confirm(&app, &access, &code(&app, &secret, 0)).await.expect(204, "");
}

#[tokio::test]
async fn a_reset_keeps_it_unless_told_otherwise() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    for removes in [false, true] {
        let offered = app.offer_reset(ADA, removes).await;
        app.reset(&offered.token, PASSWORD).await.expect(204, "");
        if removes {
            app.login(ADA, PASSWORD).await.expect(200, "");
        } else {
            let token = mfa_token(&app).await;
            go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
        }
    }
}
