//! `GET` and `PUT /auth/second-factor-roles`

use auth_client::{REVOCATIONS, Revocation};
use events::{Actor, Role, UserId};
use http::Method;
use serde_json::{Value, json};

use crate::{
    second_factor::claims,
    support::{ADA, Answer, App, PASSWORD, heard},
};

const PATH: &str = "/auth/second-factor-roles";

async fn set(app: &App, token: &str, roles: &[&str]) -> Answer {
    let call = app.call(Method::PUT, PATH).token(token);
    call.json(&json!({ "roles": roles })).send().await
}

async fn shown(app: &App, token: &str) -> Value {
    let answer = app.get_as(token, PATH).await.expect(200, "");
    answer.body["roles"].clone()
}

/// The roles in the access token of a new login.
pub(crate) async fn roles_of_a_login(app: &App, email: &str) -> Value {
    let answer = app.login(email, PASSWORD).await.expect(200, "");
    let token = answer.text("/access_token");
    app.me(&token).await.expect(200, "");
    claims(&token)["roles"].clone()
}

#[tokio::test]
async fn an_admin_requires_a_second_factor_of_a_role_on_every_replica() {
    let app = App::start().await;
    let replica = app.replica(|_, _| {}).await;
    let root = app.sign_in_admin("root@example.com").await;
    app.register(ADA).await;
    app.grant(ADA, Role::Auditor).await;
    assert_eq!(shown(&app, &root).await, json!([]));
    assert_eq!(roles_of_a_login(&replica, ADA).await, json!(["user", "auditor"]));
    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();

    for _ in 0..2 {
        let answer = set(&app, &root, &["auditor"]).await.expect(200, "");
        assert_eq!(answer.body["roles"], json!(["auditor"]));
        assert_eq!(heard(&mut *revocations).await, Revocation::Keys);
    }
    assert_eq!(roles_of_a_login(&replica, ADA).await, json!(["user"]));
    set(&replica, &root, &[]).await.expect(200, "");
    assert_eq!(roles_of_a_login(&app, ADA).await, json!(["user", "auditor"]));

    let log = app.log().await;
    let kind = "admins.second_factor_roles_changed";
    let changes: Vec<_> = log.iter().filter(|recorded| recorded.kind == kind).collect();
    assert_eq!(changes.len(), 2, "what is so already is no event");
    for recorded in changes {
        assert_eq!(recorded.metadata.subject, UserId::NOBODY);
        assert!(matches!(recorded.metadata.actor, Actor::User(_)));
        assert_eq!(Revocation::caused_by(recorded), Some(Revocation::Keys));
    }
}

#[tokio::test]
async fn what_the_operator_has_set_cannot_be_taken_back() {
    let lenient = App::start().await;
    let root = lenient.sign_in_admin("root@example.com").await;
    let app = lenient.replica(|config, _| config.second_factor_roles = [Role::Auditor].into()).await;
    assert_eq!(shown(&app, &root).await, json!(["auditor"]));
    let answer = set(&app, &root, &["user"]).await.expect(200, "");
    assert_eq!(answer.body["roles"], json!(["user", "auditor"]));
    let answer = set(&app, &root, &[]).await.expect(200, "");
    assert_eq!(answer.body["roles"], json!(["auditor"]));
}

#[tokio::test]
async fn admins_only_and_no_other_roles() {
    let app = App::start().await;
    let root = app.sign_in_admin("root@example.com").await;
    let (ada, _) = app.sign_in(ADA).await;
    set(&app, &ada, &[]).await.expect(403, "forbidden");
    app.get_as(&ada, PATH).await.expect(403, "forbidden");
    let mistakes = set(&app, &root, &["owner"]).await.mistakes();
    assert_eq!(mistakes, [("/roles/0".to_owned(), "unknown-role".to_owned())]);
    // An admin who requires it of admins and has none is no longer an admin, until they have one.
    set(&app, &root, &["admin"]).await.expect(200, "");
    set(&app, &root, &[]).await.expect(403, "forbidden");
    app.me(&root).await.expect(200, "");
}
