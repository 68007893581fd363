//! Attacks by somebody who knows the password of an account with a second factor.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{TIMEOUT, at_once, claims, is_refused_everywhere, is_shown, log_in, text, with_token};
use crate::support::{Answer, Deployment, PASSWORD, Person, System, totp_code, until};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_password_alone_gets_nobody_past_a_second_factor() {
    a_password_alone_gets_nobody_in(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_alone_gets_nobody_past_a_second_factor_on_postgres_and_rabbitmq() {
    a_password_alone_gets_nobody_in(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_admin_without_a_second_factor_is_none_where_the_role_asks_for_it() {
    an_admin_without_a_second_factor_is_none(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_without_a_second_factor_is_none_where_the_role_asks_for_it_on_postgres_and_rabbitmq() {
    an_admin_without_a_second_factor_is_none(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_admins_require_a_second_factor_of_a_role_at_once() {
    admins_require_a_second_factor_of_a_role(Deployment::Embedded, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_require_a_second_factor_of_a_role_at_once_on_postgres_and_rabbitmq() {
    admins_require_a_second_factor_of_a_role(Deployment::Servers, 2).await;
}

async fn go_on(person: &Person, mfa_token: &str, code: &str) -> Answer {
    let body = json!({"mfa_token": mfa_token, "code": code});
    person.post("/auth/login/second-factor", body).await
}

/// A code that is wrong now and in the time steps before and after.
fn wrong_code(secret: &str) -> String {
    let shown: u32 = totp_code(secret).parse().unwrap();
    format!("{:06}", (shown + 500_000) % 1_000_000)
}

async fn a_password_alone_gets_nobody_in(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let enrolled = ada.post("/auth/me/totp", json!({"password": PASSWORD})).await;
    let enrolled = enrolled.expect(200).body;
    let secret = text(&enrolled, "secret");
    let recovery: Vec<String> = serde_json::from_value(enrolled["recovery_codes"].clone()).unwrap();
    let used = totp_code(&secret);
    ada.post("/auth/me/totp/confirm", json!({"code": used})).await.expect(204);

    // The password alone gets a token that is good only for the second step.
    let half = log_in(&ada, &ada.email, PASSWORD).await.expect(401);
    assert_eq!(half.code(), "second-factor-required");
    let members = half.body.as_object().unwrap();
    assert!(!members.contains_key("access_token") && !members.contains_key("refresh_token"));
    let mfa_token = text(&half.body, "mfa_token");
    assert!(is_refused_everywhere(&with_token(&ada, mfa_token.as_str())).await);
    let refresh = ada.post("/auth/refresh", json!({"refresh_token": mfa_token})).await;
    assert_eq!(refresh.expect(401).code(), "token-invalid");
    assert_eq!(log_in(&ada, &ada.email, "a wrong passphrase").await.expect(401).code(), "bad-credentials");

    // A code that somebody has watched is used up, and so is a recovery code.
    assert_eq!(go_on(&ada, &mfa_token, &used).await.expect(401).code(), "bad-credentials");
    let entered = go_on(&ada, &mfa_token, &recovery[0]).await.expect(200).body;
    let entered = with_token(&ada, text(&entered, "access_token"));
    assert_eq!(claims(&entered)["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(claims(&ada)["amr"], json!(["pwd"]));
    assert_eq!(go_on(&ada, &mfa_token, &recovery[1]).await.expect(401).code(), "token-invalid");
    let again = text(&log_in(&ada, &ada.email, PASSWORD).await.expect(401).body, "mfa_token");
    assert_eq!(go_on(&ada, &again, &recovery[0]).await.expect(401).code(), "bad-credentials");

    // After a few wrong guesses there is a delay, however many logins they are spread over, and the owner can still
    // log in.
    let mut judged = 0;
    let refused = loop {
        let mfa_token = text(&log_in(&ada, &ada.email, PASSWORD).await.expect(401).body, "mfa_token");
        let answer = go_on(&ada, &mfa_token, &wrong_code(&secret)).await;
        if answer.status == 429 {
            break answer;
        }
        answer.expect(401);
        judged += 1;
        assert!(judged <= 10, "nobody has to wait");
    };
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    let mfa_token = text(&log_in(&ada, &ada.email, PASSWORD).await.expect(401).body, "mfa_token");
    go_on(&ada, &mfa_token, &totp_code(&secret)).await.expect(429);
    go_on(&ada, &mfa_token, &recovery[1]).await.expect(200);

    // A stolen session cannot remove the second factor.
    let remove = |body: Value| ada.send(Method::DELETE, "/auth/me/totp", Some(body));
    let wrong = json!({"password": "a wrong passphrase", "code": recovery[2]});
    assert_eq!(remove(wrong).await.expect(401).code(), "bad-credentials");
    remove(json!({"password": PASSWORD})).await.expect(422);
    let wrong = json!({"password": PASSWORD, "code": recovery[0]});
    assert_eq!(remove(wrong).await.expect(401).code(), "bad-credentials");
    let another = ada.post("/auth/me/totp", json!({"password": PASSWORD})).await;
    assert_eq!(another.expect(409).code(), "second-factor-exists");

    // A password reset does not remove it either.
    let said = system.tool(&["users", "reset", &ada.email]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let reset =
        json!({"reset_token": said.lines().next().unwrap(), "new_password": "violet harbour lantern"});
    ada.post("/auth/reset", reset).await.expect(204);
    until("the login asks for the code", Duration::from_secs(20), async || {
        let answer = log_in(&ada, &ada.email, "violet harbour lantern").await;
        assert_ne!(answer.status, 200, "{answer:?}");
        answer.code() == "second-factor-required"
    })
    .await;
    system.stop().await;
}

async fn an_admin_without_a_second_factor_is_none(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    system.set("TASKLEDGER_SECOND_FACTOR_ROLES", "admin");
    for replica in system.replicas() {
        system.kill(replica);
        system.launch(replica);
    }
    system.ready().await;
    let root = system.join_admin().await;
    for path in ["/auth/users", "/audit/export"] {
        assert_eq!(root.get(path).await.expect(403).code(), "forbidden");
    }

    // After enrolment the role counts, but only in logins with a code.
    let enrolled = root.post("/auth/me/totp", json!({"password": PASSWORD})).await;
    let enrolled = enrolled.expect(200).body;
    let code = totp_code(&text(&enrolled, "secret"));
    root.post("/auth/me/totp/confirm", json!({"code": code})).await.expect(204);
    root.get("/auth/users").await.expect(403);
    let mfa_token = text(&log_in(&root, &root.email, PASSWORD).await.expect(401).body, "mfa_token");
    let recovery = enrolled["recovery_codes"][0].as_str().unwrap();
    let entered = go_on(&root, &mfa_token, recovery).await.expect(200).body;
    let entered = with_token(&root, text(&entered, "access_token"));
    is_shown(&entered, "/auth/users").await;
    // Sessions from before do not get it.
    root.get("/auth/users").await.expect(403);
    system.stop().await;
}

/// Sets up a second factor and logs in with it.
async fn enroll(person: &Person) -> Person {
    let enrolled = person.post("/auth/me/totp", json!({"password": PASSWORD})).await;
    let enrolled = enrolled.expect(200).body;
    let code = json!({"code": totp_code(&text(&enrolled, "secret"))});
    person.post("/auth/me/totp/confirm", code).await.expect(204);
    let half = log_in(person, &person.email, PASSWORD).await.expect(401).body;
    let recovery = enrolled["recovery_codes"][0].as_str().unwrap();
    let entered = go_on(person, &text(&half, "mfa_token"), recovery).await.expect(200).body;
    with_token(person, text(&entered, "access_token"))
}

/// The statuses of a request that needs the role auditor and of one that needs the role admin, at every gateway.
async fn as_admin(system: &System, person: &Person) -> Vec<u16> {
    let mut said = Vec::new();
    for base in &system.bases {
        let person = Person { base: base.clone(), ..person.clone() };
        for path in ["/auth/users", "/audit/export"] {
            said.push(person.get(path).await.status.as_u16());
        }
    }
    said
}

async fn admins_require_a_second_factor_of_a_role(deployment: Deployment, replicas: usize) {
    let mut system = System::launched(deployment, replicas).await;
    system.ready().await;
    let strong = enroll(&system.join_admin().await).await;
    let weak = system.join_admin().await;
    let require = async |roles: Value| {
        let body = Some(json!({ "roles": roles }));
        let answer = strong.send(Method::PUT, "/auth/second-factor-roles", body).await;
        answer.expect(200).body["roles"].clone()
    };
    // Every role has cached that this person is an admin.
    until("the weak admin is served", TIMEOUT, async || {
        as_admin(&system, &weak).await.iter().all(|status| *status == 200)
    })
    .await;
    assert_eq!(require(json!(["admin"])).await, json!(["admin"]));
    at_once("without the factor there is no admin", async || {
        as_admin(&system, &weak).await.iter().all(|status| *status == 403)
    })
    .await;
    weak.get("/auth/me").await.expect(200);
    assert!(as_admin(&system, &strong).await.iter().all(|status| *status == 200));
    let me = strong.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let trail = "/audit/events?type=admins.second_factor_roles_changed";
    until("the audit trail says who did it", TIMEOUT, async || {
        let items = strong.get(trail).await.body["items"].clone();
        items[0]["actor"] == me
    })
    .await;

    // The setting can only add roles that need a second factor.
    system.set("TASKLEDGER_SECOND_FACTOR_ROLES", "auditor");
    for replica in system.replicas() {
        system.kill(replica);
        system.launch(replica);
    }
    system.ready().await;
    assert_eq!(require(json!(["admin"])).await, json!(["auditor", "admin"]));
    assert_eq!(require(json!([])).await, json!(["auditor"]));
    at_once("the admin is one again", async || {
        as_admin(&system, &weak).await.iter().all(|status| *status == 200)
    })
    .await;
    system.stop().await;
}
