//! `POST /auth/me/totp`, `/confirm`, `DELETE /auth/me/totp` and `POST /auth/login/second-factor`.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use auth_client::{REVOCATIONS, Revocation};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use bus::Heard;
use data_encoding::BASE32_NOPAD;
use events::Role;
use http::Method;
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    program_tokens::verifier,
    support::{Answer, App, PASSWORD},
};

const EMAIL: &str = "ada@example.com";

/// The code of an authenticator app after this many steps of thirty seconds.
pub(crate) fn code(app: &App, secret: &str, steps: i64) -> String {
    let step = app.dependencies.clock.now().as_seconds() / 30 + steps;
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        &BASE32_NOPAD.decode(secret.as_bytes()).unwrap(),
    );
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let offset = usize::from(tag.as_ref()[19] & 15);
    let bytes: [u8; 4] = tag.as_ref()[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
}

/// A six-digit code that is wrong.
pub(crate) fn wrong(app: &App, secret: &str) -> String {
    let right: Vec<_> = (-1..=1).map(|steps| code(app, secret, steps)).collect();
    (0..)
        .map(|number| format!("{number:06}"))
        .find(|code| !right.contains(code))
        .unwrap()
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
    call.json(&json!({"password": PASSWORD, "code": code}))
        .send()
        .await
}

/// The token of a login that waits for a code.
async fn mfa_token(app: &App) -> String {
    let answer = app.login(EMAIL, PASSWORD).await;
    answer.expect(401, "second-factor-required").text("/mfa_token")
}

pub(crate) async fn go_on(app: &App, mfa_token: &str, code: &str) -> Answer {
    let body = json!({"mfa_token": mfa_token, "code": code});
    app.post("/auth/login/second-factor").json(&body).send().await
}

/// A person with a second factor: an access token from before, the secret, and the recovery codes.
pub(crate) async fn enrolled(app: &App) -> (String, String, Vec<String>) {
    let (access, _) = app.sign_in(EMAIL).await;
    let answer = enroll(app, &access, PASSWORD).await.expect(200, "");
    let secret = answer.text("/secret");
    confirm(app, &access, &code(app, &secret, 0))
        .await
        .expect(204, "");
    let codes = answer.body["recovery_codes"].as_array().unwrap().iter();
    let codes = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
    app.clock.advance(60);
    (access, secret, codes)
}

fn claims(access: &str) -> Value {
    let payload = access.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_login_needs_a_code_once_the_factor_is_confirmed() {
    let app = App::start().await;
    let (access, _) = app.sign_in(EMAIL).await;
    assert_eq!(claims(&access)["amr"], json!(["pwd"]));
    enroll(&app, &access, "another passphrase here")
        .await
        .expect(401, "bad-credentials");
    let answer = enroll(&app, &access, PASSWORD).await.expect(200, "");
    let secret = answer.text("/secret");
    assert_eq!(answer.body["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(
        answer.text("/otpauth_uri"),
        format!(
            "otpauth://totp/Taskledger:ada%40example.com?secret={secret}&issuer=Taskledger&algorithm=SHA1&digits=6&period=30"
        )
    );
    app.login(EMAIL, PASSWORD).await.expect(200, "");
    confirm(&app, &access, &wrong(&app, &secret))
        .await
        .expect(401, "bad-credentials");
    confirm(&app, &access, &code(&app, &secret, 0))
        .await
        .expect(204, "");
    confirm(&app, &access, &code(&app, &secret, 1))
        .await
        .expect(409, "second-factor-exists");
    enroll(&app, &access, PASSWORD)
        .await
        .expect(409, "second-factor-exists");

    app.login(EMAIL, "another passphrase here")
        .await
        .expect(401, "bad-credentials");
    let token = mfa_token(&app).await;
    go_on(&app, &token, &code(&app, &secret, 0))
        .await
        .expect(401, "bad-credentials");
    let answer = go_on(&app, &token, &code(&app, &secret, 1)).await.expect(200, "");
    let amr = json!(["pwd", "otp", "mfa"]);
    assert_eq!(claims(&answer.text("/access_token"))["amr"], amr);
    let refreshed = app.refresh(&answer.text("/refresh_token")).await.expect(200, "");
    assert_eq!(claims(&refreshed.text("/access_token"))["amr"], amr);
    app.me(&refreshed.text("/access_token")).await.expect(200, "");
}

#[tokio::test]
async fn no_code_counts_twice_also_when_both_race() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    let code = code(&app, &secret, 0);
    let (first, second) = (mfa_token(&app).await, mfa_token(&app).await);
    let (one, other) = tokio::join!(go_on(&app, &first, &code), go_on(&app, &second, &code));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn a_login_goes_on_once() {
    let app = App::start().await;
    let (_, secret, codes) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
    go_on(&app, &token, &codes[0]).await.expect(401, "token-invalid");
    let late = mfa_token(&app).await;
    app.clock.advance(300);
    go_on(&app, &late, &code(&app, &secret, 0))
        .await
        .expect(401, "token-invalid");
    for made_up in ["", "nonsense", &"A".repeat(139)] {
        go_on(&app, made_up, &codes[1]).await.expect(401, "token-invalid");
    }
}

#[tokio::test]
async fn a_login_that_failed_between_its_two_appends_goes_on_with_the_same_request() {
    let (app, faults) = App::start_faulty().await;
    let (_, secret, codes) = enrolled(&app).await;
    for code in [&code(&app, &secret, 0), &codes[0]] {
        let token = mfa_token(&app).await;
        faults.sessions.store(true, Ordering::SeqCst);
        go_on(&app, &token, code).await.expect(503, "unavailable");
        faults.sessions.store(false, Ordering::SeqCst);
        let answers = futures::future::join_all((0..3).map(|_| go_on(&app, &token, code))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401], "{answers:?}");
        for answer in &answers {
            if answer.status == 200 {
                app.me(&answer.text("/access_token")).await.expect(200, "");
                app.refresh(&answer.text("/refresh_token")).await.expect(200, "");
            } else {
                assert_eq!(answer.code(), "token-invalid");
            }
        }
        let other = mfa_token(&app).await;
        go_on(&app, &other, code).await.expect(401, "bad-credentials");
        app.clock.advance(30);
    }
}

#[tokio::test]
async fn each_recovery_code_is_good_for_one_login() {
    let app = App::start().await;
    let (_, _, codes) = enrolled(&app).await;
    for code in &codes {
        let token = mfa_token(&app).await;
        go_on(&app, &token, &code.to_lowercase()).await.expect(200, "");
        let token = mfa_token(&app).await;
        go_on(&app, &token, code).await.expect(401, "bad-credentials");
        app.clock.advance(3_600);
    }
}

#[tokio::test]
async fn wrong_codes_are_counted_for_the_account_and_across_restarts() {
    let app = App::start().await;
    let (_, secret, codes) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    for _ in 0..5 {
        go_on(&app, &token, &wrong(&app, &secret))
            .await
            .expect(401, "bad-credentials");
    }
    // This login cannot continue.
    go_on(&app, &token, &code(&app, &secret, 0))
        .await
        .expect(401, "token-invalid");
    let restarted = app.replica(|_, _| {}).await;
    let token = mfa_token(&restarted).await;
    let refused = go_on(&restarted, &token, &code(&app, &secret, 0)).await;
    let refused = refused.expect(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(refused.header("ratelimit"), "\"codes\";r=0;t=30");
    assert_eq!(refused.header("ratelimit-policy"), "\"codes\";q=5");
    let before = app.log().await.len();
    go_on(&restarted, &token, &wrong(&app, &secret))
        .await
        .expect(429, "rate-limited");
    assert_eq!(
        app.log().await.len(),
        before,
        "what is not looked at leaves no event"
    );
    // Someone with the password cannot lock out the person with the codes.
    go_on(&restarted, &token, &codes[3]).await.expect(200, "");
    let token = mfa_token(&restarted).await;
    go_on(&restarted, &token, &code(&app, &secret, 0))
        .await
        .expect(200, "");
}

#[tokio::test]
async fn wrong_codes_that_race_are_all_counted() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    let wrong = wrong(&app, &secret);
    let answers = futures::future::join_all((0..12).map(|_| go_on(&app, &token, &wrong))).await;
    let judged = answers
        .iter()
        .filter(|answer| answer.code() == "bad-credentials")
        .count();
    assert_eq!(judged, 5, "{answers:?}");
}

#[tokio::test]
async fn a_changed_password_ends_the_logins_that_wait() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    let change = json!({"current_password": PASSWORD, "new_password": "violet harbour lantern"});
    let call = app.post("/auth/me/password").token(&access).json(&change);
    call.send().await.expect(204, "");
    go_on(&app, &token, &code(&app, &secret, 0))
        .await
        .expect(401, "token-invalid");
}

#[tokio::test]
async fn disabling_ends_the_logins_that_wait_for_good() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    let admin = app.sign_in_admin("root@example.com").await;
    let id = app.me(&access).await.text("/user/id");
    let waiting = mfa_token(&app).await;
    for change in ["disable", "enable"] {
        let path = format!("/auth/users/{id}/{change}");
        app.post(&path).token(&admin).send().await.expect(200, "");
    }
    go_on(&app, &waiting, &code(&app, &secret, 0))
        .await
        .expect(401, "token-invalid");
    let begun_since = mfa_token(&app).await;
    go_on(&app, &begun_since, &code(&app, &secret, 0))
        .await
        .expect(200, "");
}

#[tokio::test]
async fn a_login_goes_on_at_a_replica_whose_clock_is_behind() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    app.clock.advance(-20);
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
    let token = mfa_token(&app).await;
    app.clock.advance(-31);
    go_on(&app, &token, &code(&app, &secret, 1))
        .await
        .expect(401, "token-invalid");
}

#[tokio::test]
async fn it_is_given_up_for_the_password_and_a_code() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    remove(&app, &access, &wrong(&app, &secret))
        .await
        .expect(401, "bad-credentials");
    remove(&app, &access, &code(&app, &secret, 0))
        .await
        .expect(204, "");
    remove(&app, &access, &code(&app, &secret, 1))
        .await
        .expect(404, "not-found");
    app.login(EMAIL, PASSWORD).await.expect(200, "");
    let again = enroll(&app, &access, PASSWORD).await.expect(200, "");
    assert_ne!(again.text("/secret"), secret);
}

#[tokio::test]
async fn giving_it_up_is_told_to_whoever_remembers_tokens() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    let me = app.me(&access).await.text("/user/id").parse().unwrap();
    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    remove(&app, &access, &code(&app, &secret, 0))
        .await
        .expect(204, "");
    let heard = tokio::time::timeout(Duration::from_secs(10), revocations.next());
    let Heard::Message(bytes) = heard.await.unwrap() else {
        panic!("a gap")
    };
    assert_eq!(Revocation::decode(&bytes).unwrap(), Revocation::Account(me));
}

#[tokio::test]
async fn the_log_holds_neither_the_secret_nor_a_code() {
    let app = App::start().await;
    let (_, secret, codes) = enrolled(&app).await;
    let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    for recorded in app.log().await {
        let data = String::from_utf8_lossy(&recorded.data).into_owned();
        for text in codes
            .iter()
            .chain([&secret, &hex::encode(&bytes), &BASE64URL.encode(&bytes)])
        {
            assert!(!data.contains(text.as_str()), "{data}");
        }
    }
}

#[tokio::test]
async fn a_role_can_ask_for_a_second_factor() {
    let lenient = App::start().await;
    lenient.sign_in_admin(EMAIL).await;
    let app = lenient
        .replica(|config, _| config.second_factor_roles = [Role::Admin].into())
        .await;
    // It would answer checks over the bus, too.
    lenient.background.shut_down(Duration::from_secs(10)).await;
    let weak = app
        .login(EMAIL, PASSWORD)
        .await
        .expect(200, "")
        .text("/access_token");
    assert_eq!(claims(&weak)["roles"], json!(["user"]));
    app.get("/auth/users")
        .token(&weak)
        .send()
        .await
        .expect(403, "forbidden");
    let secret = enroll(&app, &weak, PASSWORD)
        .await
        .expect(200, "")
        .text("/secret");
    confirm(&app, &weak, &code(&app, &secret, 0))
        .await
        .expect(204, "");
    app.clock.advance(60);
    let token = mfa_token(&app).await;
    let strong = go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
    let strong = strong.text("/access_token");
    app.get("/auth/users").token(&strong).send().await.expect(200, "");

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
    let identity = verifier(app).await.verify(token).await;
    identity.unwrap().roles.clone()
}

#[tokio::test]
async fn nobody_guesses_a_factor_into_force() {
    let app = App::start().await;
    let (access, _) = app.sign_in(EMAIL).await;
    let answer = enroll(&app, &access, PASSWORD).await.expect(200, "");
    let secret = answer.text("/secret");
    for _ in 0..5 {
        confirm(&app, &access, &wrong(&app, &secret))
            .await
            .expect(401, "bad-credentials");
    }
    confirm(&app, &access, &code(&app, &secret, 0))
        .await
        .expect(429, "rate-limited");
    app.clock.advance(30);
    confirm(&app, &access, &code(&app, &secret, 0))
        .await
        .expect(204, "");
}

#[tokio::test]
async fn a_weak_hash_is_replaced_also_where_a_code_is_missing() {
    let app = App::start().await;
    enrolled(&app).await;
    let stronger = app.replica(|config, _| config.argon2.iterations = 2).await;
    mfa_token(&stronger).await;
    assert_eq!(stronger.payloads("account.password_rehashed").await.len(), 1);
    let token = mfa_token(&stronger).await;
    assert!(!token.is_empty());
    assert_eq!(stronger.payloads("account.password_rehashed").await.len(), 1);
}

#[tokio::test]
async fn a_reset_keeps_it_unless_told_otherwise() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    for removes in [false, true] {
        let offered = app.offer_reset(EMAIL, removes).await;
        let body = json!({"reset_token": offered.token.as_str(), "new_password": PASSWORD});
        app.post("/auth/reset").json(&body).send().await.expect(204, "");
        if removes {
            app.login(EMAIL, PASSWORD).await.expect(200, "");
        } else {
            let token = mfa_token(&app).await;
            go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
        }
    }
}
