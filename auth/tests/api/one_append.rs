//! What a command promises holds after its one append: everything after that fails here.

use std::sync::atomic::Ordering;

use auth_client::{REVOCATIONS, Revocation};
use bus::{Heard, Listener};
use events::{Encoded, Encoding, MAX_OPEN_SESSIONS, Role, SessionId, StreamName, UserId};
use http::Method;
use serde_json::json;

use crate::support::{ADA, Answer, App, PASSWORD};

const NEW: &str = "quartz-lantern-river";

async fn change_password(app: &App, token: &str) -> Answer {
    app.post("/auth/me/password")
        .token(token)
        .json(&json!({"current_password": PASSWORD, "new_password": NEW}))
        .send()
        .await
}

async fn act(app: &App, token: &str, path: &str) -> Answer {
    app.post(path).token(token).send().await
}

async fn is_dead(app: &App, (access, refresh): &(String, String)) {
    app.me(access).await.expect(401, "session-ended");
    app.refresh(refresh).await.expect(401, "session-ended");
}

async fn user_id(app: &App, token: &str) -> String {
    app.me(token).await.expect(200, "").text("/user/id")
}

#[tokio::test]
async fn a_changed_password_ends_the_others_though_no_session_can_be_written() {
    let (app, faults) = App::start_faulty().await;
    let (own, other) = (app.sign_in(ADA).await, app.sign_in(ADA).await);
    faults.sessions.store(true, Ordering::SeqCst);
    change_password(&app, &own.0).await.expect(204, "");
    is_dead(&app, &other).await;
    app.me(&own.0).await.expect(200, "");
    faults.sessions.store(false, Ordering::SeqCst);
    is_dead(&app, &other).await;
    app.refresh(&own.1).await.expect(200, "");
    // The answer may have been lost: the repeated request reports success.
    change_password(&app, &own.0).await.expect(204, "");
    app.login(ADA, NEW).await.expect(200, "");
    app.login(ADA, PASSWORD).await.expect(401, "bad-credentials");
}

#[tokio::test]
async fn a_logout_everywhere_holds_though_no_session_can_be_written() {
    let (app, faults) = App::start_faulty().await;
    let sessions = [app.sign_in(ADA).await, app.sign_in(ADA).await];
    let bob = app.sign_in("bob@example.com").await;
    faults.sessions.store(true, Ordering::SeqCst);
    act(&app, &sessions[0].0, "/auth/logout-all")
        .await
        .expect(204, "");
    for session in &sessions {
        is_dead(&app, session).await;
    }
    app.me(&bob.0).await.expect(200, "");
}

#[tokio::test]
async fn a_disabled_account_is_dead_at_once_and_its_sessions_do_not_come_back() {
    let (app, faults) = App::start_faulty().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let session = app.sign_in(ADA).await;
    let id = user_id(&app, &session.0).await;
    faults.sessions.store(true, Ordering::SeqCst);
    act(&app, &admin, &format!("/auth/users/{id}/disable"))
        .await
        .expect(200, "");
    is_dead(&app, &session).await;
    faults.sessions.store(false, Ordering::SeqCst);
    act(&app, &admin, &format!("/auth/users/{id}/enable"))
        .await
        .expect(200, "");
    is_dead(&app, &session).await;
    app.sign_in(ADA).await;
}

#[tokio::test]
async fn read_models_that_cannot_be_read_stop_nothing() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (own, other) = (app.sign_in(ADA).await, app.sign_in(ADA).await);
    let id = user_id(&app, &own.0).await;
    for table in ["sessions", "accounts", "checkpoints"] {
        let sql = format!("DROP TABLE {table}");
        app.dependencies.read_models.execute(&sql, &[]).await.unwrap();
    }
    let sessions = app
        .get("/auth/sessions")
        .token(&own.0)
        .send()
        .await
        .expect(200, "");
    assert_eq!(sessions.body["items"].as_array().unwrap().len(), 2);
    change_password(&app, &own.0).await.expect(204, "");
    is_dead(&app, &other).await;
    act(&app, &own.0, "/auth/logout-all").await.expect(204, "");
    is_dead(&app, &own).await;
    app.call(Method::PUT, &format!("/auth/users/{id}/roles"))
        .token(&admin)
        .json(&json!({"roles": ["auditor"]}))
        .send()
        .await
        .expect(200, "");
    act(&app, &admin, &format!("/auth/users/{id}/disable"))
        .await
        .expect(200, "");
    let root = user_id(&app, &admin).await;
    act(&app, &admin, &format!("/auth/users/{root}/disable"))
        .await
        .expect(409, "last-admin");
    app.me(&admin).await.expect(200, "");
}

#[tokio::test]
async fn the_last_admin_survives_a_crash_between_any_two_appends() {
    let (app, faults) = App::start_faulty().await;
    let (one, two) = (
        app.sign_in_admin("one@example.com").await,
        app.sign_in_admin("two@example.com").await,
    );
    let ids = (user_id(&app, &one).await, user_id(&app, &two).await);
    let drop_role = async |token: &str, id: &str| {
        app.call(Method::PUT, &format!("/auth/users/{id}/roles"))
            .token(token)
            .json(&json!({"roles": ["user"]}))
            .send()
            .await
    };
    faults.accounts.store(true, Ordering::SeqCst);
    drop_role(&one, &ids.1).await.expect(503, "unavailable");
    drop_role(&one, &ids.0).await.expect(409, "last-admin");
    act(&app, &one, &format!("/auth/users/{}/disable", ids.0))
        .await
        .expect(409, "last-admin");
    faults.accounts.store(false, Ordering::SeqCst);
    // The role is removed by one append, another role does not bring it back, and the repeated request completes the
    // rest.
    let granted = app.grant("two@example.com", Role::Auditor).await;
    assert_eq!(granted.roles, [Role::User, Role::Auditor].into());
    drop_role(&two, &ids.1).await.expect(403, "forbidden");
    drop_role(&one, &ids.1).await.expect(200, "");
    drop_role(&one, &ids.0).await.expect(409, "last-admin");
    let me = app.me(&one).await.expect(200, "");
    assert_eq!(me.body["user"]["roles"], json!(["user", "admin"]));
}

#[tokio::test]
async fn an_enabled_admin_is_an_admin_again() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let deputy = app.sign_in_admin("deputy@example.com").await;
    let id = user_id(&app, &deputy).await;
    act(&app, &admin, &format!("/auth/users/{id}/disable"))
        .await
        .expect(200, "");
    let root = user_id(&app, &admin).await;
    act(&app, &admin, &format!("/auth/users/{root}/disable"))
        .await
        .expect(409, "last-admin");
    let enabled = act(&app, &admin, &format!("/auth/users/{id}/enable"))
        .await
        .expect(200, "");
    assert_eq!(enabled.body["user"]["roles"], json!(["user", "admin"]));
    act(&app, &admin, &format!("/auth/users/{root}/disable"))
        .await
        .expect(200, "");
}

#[tokio::test]
async fn one_session_too_many_closes_the_oldest() {
    let app = App::start().await;
    app.register(ADA).await;
    let oldest = app.sign_in(ADA).await;
    let ended = app.sign_in(ADA).await;
    let mut newest = ended.clone();
    for _ in 2..MAX_OPEN_SESSIONS {
        newest = app.sign_in(ADA).await;
    }
    let listed = async |token: &str| {
        let answer = app
            .get("/auth/sessions")
            .token(token)
            .send()
            .await
            .expect(200, "");
        answer.body["items"].as_array().unwrap().len()
    };
    assert_eq!(listed(&newest.0).await, MAX_OPEN_SESSIONS);
    act(&app, &ended.0, "/auth/logout").await.expect(204, "");
    app.sign_in(ADA).await;
    app.me(&oldest.0).await.expect(200, "");
    app.sign_in(ADA).await;
    is_dead(&app, &oldest).await;
    assert_eq!(listed(&newest.0).await, MAX_OPEN_SESSIONS);
}

#[tokio::test]
async fn events_of_a_later_build_hide_nothing_but_their_own_session() {
    let app = App::start().await;
    let (own, other) = (app.sign_in(ADA).await, app.sign_in(ADA).await);
    let id: UserId = user_id(&app, &own.0).await.parse().unwrap();
    let list = async || {
        let answer = app
            .get("/auth/sessions")
            .token(&own.0)
            .send()
            .await
            .expect(200, "");
        answer.body["items"].as_array().unwrap().clone()
    };
    let exploded = || Encoded {
        kind: "session.exploded",
        schema_version: 1,
        encoding: Encoding::Json,
        data: "{}".into(),
    };
    let stranger = StreamName::session(SessionId(uuid::Uuid::now_v7()));
    app.append(&stranger, id, [exploded()]).await;
    assert_eq!(list().await.len(), 2);
    let items = list().await;
    let broken = items.iter().find(|item| item["current"] == false).unwrap();
    let broken: SessionId = broken["id"].as_str().unwrap().parse().unwrap();
    app.append(&StreamName::session(broken), id, [exploded()]).await;
    assert_eq!(list().await.len(), 1);
    change_password(&app, &own.0).await.expect(204, "");
    assert_ne!(app.me(&other.0).await.status, 200);
}

async fn hear(listener: &mut dyn Listener) -> Revocation {
    let heard = tokio::time::timeout(std::time::Duration::from_secs(10), listener.next());
    match heard.await.unwrap() {
        Heard::Message(bytes) => Revocation::decode(&bytes).unwrap(),
        Heard::Gap => panic!("a gap on a bus that never breaks"),
    }
}

#[tokio::test]
async fn a_login_that_makes_room_is_broadcast_once_for_all_that_it_closes() {
    let app = App::start().await;
    for _ in 0..MAX_OPEN_SESSIONS {
        app.sign_in(ADA).await;
    }
    app.clock.advance(30 * 24 * 3_600);
    let mut listener = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    let (access, _) = app.sign_in(ADA).await;
    let id: UserId = user_id(&app, &access).await.parse().unwrap();
    assert_eq!(hear(&mut *listener).await, Revocation::Account(id));
    let listed = app.get("/auth/sessions").token(&access).send().await;
    let listed = listed.expect(200, "").body["items"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 1);
    act(&app, &access, "/auth/logout").await.expect(204, "");
    let session = listed[0]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(hear(&mut *listener).await, Revocation::Session(session));
}

#[tokio::test]
async fn every_change_that_ends_something_is_broadcast() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (own, _) = app.sign_in(ADA).await;
    let id: UserId = user_id(&app, &own).await.parse().unwrap();
    let mut listener = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    change_password(&app, &own).await.expect(204, "");
    assert_eq!(hear(&mut *listener).await, Revocation::Account(id));
    app.call(Method::PUT, &format!("/auth/users/{id}/roles"))
        .token(&admin)
        .json(&json!({"roles": ["auditor"]}))
        .send()
        .await
        .expect(200, "");
    assert_eq!(hear(&mut *listener).await, Revocation::Account(id));
    act(&app, &admin, &format!("/auth/users/{id}/disable"))
        .await
        .expect(200, "");
    assert_eq!(hear(&mut *listener).await, Revocation::Account(id));
}
