//! `POST /auth/reset`, `POST /auth/users/{id}/reset`, and the command line.

use events::{Actor, UserId};
use serde_json::{Value, json};

use crate::{
    second_factor::enrolled,
    support::{ADA, Answer, App, NEW, PASSWORD, statuses},
};

async fn offered(app: &App) -> String {
    app.offer_reset(ADA, false).await.token.to_string()
}

async fn offer(app: &App, access: &str, id: &str, body: &Value) -> Answer {
    let path = format!("/auth/users/{id}/reset");
    app.post(&path).token(access).json(body).send().await
}

#[tokio::test]
async fn an_operator_offers_a_new_password_which_ends_every_session() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let token = offered(&app).await;
    app.me(&access).await.expect(200, "");
    app.reset(&token, NEW).await.expect(204, "");
    app.me(&access).await.expect(401, "session-ended");
    app.refresh(&refresh).await.expect(401, "session-ended");
    app.login(ADA, PASSWORD).await.expect(401, "bad-credentials");
    app.login(ADA, NEW).await.expect(200, "");
    let log = app.log().await;
    let actor = |kind: &str| log.iter().find(|event| event.kind == kind).unwrap().metadata.actor;
    assert_eq!(actor("account.reset_offered"), Actor::Operator);
    assert!(matches!(actor("account.password_reset"), Actor::User(_)));
    for recorded in log {
        assert!(!String::from_utf8_lossy(&recorded.data).contains(&token));
    }
}

#[tokio::test]
async fn a_reset_is_good_once_and_only_the_newest() {
    let app = App::start().await;
    app.sign_in(ADA).await;
    let (old, new) = (offered(&app).await, offered(&app).await);
    app.reset(&old, NEW).await.expect(401, "token-invalid");
    let other = app.replica(|_, _| {}).await;
    let (one, two) = tokio::join!(app.reset(&new, NEW), other.reset(&new, "marble bicycle teapot"));
    assert_eq!(statuses([&one, &two]), [204, 401]);
    app.reset(&new, NEW).await.expect(401, "token-invalid");
    for made_up in ["", "nonsense", &"A".repeat(86)] {
        app.reset(made_up, NEW).await.expect(401, "token-invalid");
    }
}

#[tokio::test]
async fn a_reset_is_good_for_an_hour() {
    let app = App::start().await;
    app.sign_in(ADA).await;
    let token = offered(&app).await;
    app.clock.advance(3_599);
    // A refused password does not use the reset up.
    let weak = app.reset(&token, ADA).await.mistakes();
    assert_eq!(weak[0].0, "/new_password");
    app.clock.advance(1);
    app.reset(&token, NEW).await.expect(401, "token-expired");
    app.login(ADA, PASSWORD).await.expect(200, "");
}

#[tokio::test]
async fn only_an_admin_offers_one_over_http() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.me(&access).await.text("/user/id");
    offer(&app, &access, &id, &json!({})).await.expect(403, "forbidden");
    let offered = offer(&app, &admin, &id, &json!({})).await.expect(200, "");
    assert_eq!(offered.body["expires_at"], "2027-01-15T09:00:00.123456Z");
    app.reset(&offered.text("/reset_token"), NEW).await.expect(204, "");
    app.act(&admin, &id, "reset").await.expect(200, "");
    let wrong = json!({"remove_second_factor": 1});
    assert_eq!(offer(&app, &admin, &id, &wrong).await.mistakes().len(), 1);
    let nobody = UserId(runtime::new_id()).to_string();
    offer(&app, &admin, &nobody, &json!({})).await.expect(404, "not-found");
}

#[tokio::test]
async fn an_admin_takes_the_second_factor_off_with_a_reset_only_if_they_say_so() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (access, ..) = enrolled(&app).await;
    let id = app.me(&access).await.text("/user/id");
    for (body, status, code) in [
        (json!({}), 401, "second-factor-required"),
        (json!({"remove_second_factor": false}), 401, "second-factor-required"),
        (json!({"remove_second_factor": true}), 200, ""),
    ] {
        let offered = offer(&app, &admin, &id, &body).await.expect(200, "");
        app.reset(&offered.text("/reset_token"), NEW).await.expect(204, "");
        app.login(ADA, NEW).await.expect(status, code);
    }
    // The audit trail names the admin.
    let me = app.me(&admin).await.text("/user/id").parse().unwrap();
    let log = app.log().await;
    let mut offers = log.iter().filter(|event| event.kind == "account.reset_offered");
    assert!(offers.all(|offered| offered.metadata.actor == Actor::User(me)));
}

#[tokio::test]
async fn a_disabled_account_is_not_opened_by_a_reset() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.me(&access).await.text("/user/id");
    let before = offered(&app).await;
    app.act(&admin, &id, "disable").await.expect(200, "");
    app.reset(&before, NEW).await.expect(401, "token-invalid");
    let since = offered(&app).await;
    app.reset(&since, NEW).await.expect(403, "account-disabled");
    app.act(&admin, &id, "enable").await.expect(200, "");
    app.reset(&since, NEW).await.expect(204, "");
}

#[tokio::test]
async fn a_reset_does_not_outlive_the_password_that_it_was_for() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let token = offered(&app).await;
    app.change_password(&access, PASSWORD, NEW).await.expect(204, "");
    app.reset(&token, "marble bicycle teapot").await.expect(401, "token-invalid");
    app.login(ADA, NEW).await.expect(200, "");
}
