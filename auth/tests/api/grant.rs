//! `taskledger users grant`

use events::{Actor, Role};

use crate::support::App;

#[tokio::test]
async fn gives_a_role_once() {
    let app = App::start().await;
    let id = app.register("ada@example.com").await.text("/user/id");
    let grant = |email: &'static str| auth::grant(&app.config, &app.dependencies, email, Role::Admin);
    let granted = grant("ADA@example.com").await.unwrap();
    assert_eq!(granted.user_id.to_string(), id);
    assert_eq!(
        granted.roles.into_iter().collect::<Vec<_>>(),
        [Role::User, Role::Admin]
    );
    assert!(granted.changed);
    assert!(!grant("ada@example.com").await.unwrap().changed);

    let log = app.log().await;
    let kinds: Vec<_> = log.iter().rev().take(2).map(|recorded| &*recorded.kind).collect();
    assert_eq!(kinds, ["admins.added", "account.roles_changed"]);
    assert_eq!(log.last().unwrap().metadata.actor, Actor::Operator);
    let answer = app.login("ada@example.com", crate::support::PASSWORD).await;
    assert_eq!(answer.body["user"]["roles"], serde_json::json!(["user", "admin"]));
}

#[tokio::test]
async fn shows_who_it_is_and_can_be_refused() {
    let app = App::start().await;
    let id = app.register("ada@example.com").await.text("/user/id");
    let registered_at = app.dependencies.clock.now();
    let look = async || {
        let mut seen = None;
        let granted = auth::grant_if(
            &app.config,
            &app.dependencies,
            "ADA@example.com",
            Role::Admin,
            |grantee| {
                seen = Some(grantee.clone());
                anyhow::bail!("not granted")
            },
        )
        .await;
        assert_eq!(granted.unwrap_err().to_string(), "not granted");
        seen.unwrap()
    };
    let seen = look().await;
    assert_eq!(
        (seen.user_id.to_string(), seen.email.as_deref()),
        (id, Some("ada@example.com"))
    );
    assert_eq!((seen.registered_at, seen.last_login_at), (registered_at, None));
    app.clock.advance(60);
    app.sign_in("ada@example.com").await;
    assert_eq!(look().await.last_login_at, Some(app.dependencies.clock.now()));
    assert!(app.payloads("account.roles_changed").await.is_empty());
}

#[tokio::test]
async fn says_what_is_wrong() {
    let app = App::start().await;
    let grant = async |email: &str| {
        let granted = auth::grant(&app.config, &app.dependencies, email, Role::Admin).await;
        format!("{:#}", granted.unwrap_err())
    };
    assert_eq!(
        grant("nobody@example.com").await,
        "nobody has registered nobody@example.com"
    );
    assert!(grant("nobody").await.contains("must be an address"));
    std::fs::remove_file(app.keys().join("email-pepper")).unwrap();
    assert!(
        grant("nobody@example.com")
            .await
            .contains("email-pepper is missing")
    );
}
