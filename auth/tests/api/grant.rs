//! `taskledger users grant`

use auth::Operator;
use events::{Actor, Role};

use crate::support::{ADA, App, OPERATION};

#[tokio::test]
async fn gives_a_role_once() {
    let app = App::start().await;
    let id = app.register(ADA).await.text("/user/id");
    let granted = app.grant("ADA@example.com", Role::Admin).await;
    assert_eq!(granted.user_id.to_string(), id);
    assert_eq!(granted.roles.into_iter().collect::<Vec<_>>(), [Role::User, Role::Admin]);
    assert!(granted.changed);
    assert!(!app.grant(ADA, Role::Admin).await.changed);

    let log = app.log().await;
    let kinds: Vec<_> = log.iter().rev().take(2).map(|recorded| &*recorded.kind).collect();
    assert_eq!(kinds, ["admins.added", "account.roles_changed"]);
    let metadata = &log.last().unwrap().metadata;
    assert_eq!(metadata.actor, Actor::Operator);
    assert_eq!(metadata.correlation_id, OPERATION);
    let answer = app.login(ADA, crate::support::PASSWORD).await;
    assert_eq!(answer.body["user"]["roles"], serde_json::json!(["user", "admin"]));
}

#[tokio::test]
async fn shows_who_it_is() {
    let app = App::start().await;
    let id = app.register(ADA).await.text("/user/id");
    let registered_at = app.dependencies.clock.now();
    let look = async || app.operator().await.find("ADA@example.com").await.unwrap();
    let seen = look().await;
    assert_eq!((seen.user_id.to_string(), seen.email.as_deref()), (id, Some(ADA)));
    assert_eq!((seen.registered_at, seen.last_login_at), (Some(registered_at), None));
    app.clock.advance(60);
    let (access, _) = app.sign_in(ADA).await;
    let last_login_at = Some(app.dependencies.clock.now());
    assert_eq!(look().await.last_login_at, last_login_at);
    // It is not forgotten with the session.
    app.clock.advance(60);
    let everywhere = app.post_as(&access, "/auth/logout-all");
    everywhere.await.expect(204, "");
    assert_eq!(look().await.last_login_at, last_login_at);
}

#[tokio::test]
async fn says_what_is_wrong() {
    let app = App::start().await;
    app.sign_in(ADA).await;
    let find = async |email: &str| app.operator().await.find(email).await.unwrap_err().to_string();
    assert_eq!(find("nobody@example.com").await, "nobody has registered nobody@example.com");
    assert!(find("nobody").await.contains("must be an address"));
    std::fs::remove_file(app.keys().join("email-pepper")).unwrap();
    let operator = Operator::new(&app.config, &app.dependencies);
    let error = format!("{:#}", operator.await.unwrap_err());
    assert!(error.contains("email-pepper is missing"), "{error}");
}
