//! What a command promises holds after its one append: everything after that fails here.

use std::sync::atomic::Ordering;

use auth_client::{REVOCATIONS, Revocation};
use events::{Encoded, Encoding, MAX_OPEN_SESSIONS, Role, SessionId, StreamName, UserId};
use serde_json::json;

use crate::support::{ADA, App, NEW, PASSWORD, heard};

async fn is_dead(app: &App, (access, refresh): &(String, String)) {
    app.me(access).await.expect(401, "session-ended");
    app.refresh(refresh).await.expect(401, "session-ended");
}

#[tokio::test]
async fn a_changed_password_ends_the_others_though_no_session_can_be_written() {
    let (app, faults) = App::start_faulty().await;
    let (own, other) = (app.sign_in(ADA).await, app.sign_in(ADA).await);
    faults.sessions.store(true, Ordering::SeqCst);
    app.change_password(&own.0, PASSWORD, NEW).await.expect(204, "");
    is_dead(&app, &other).await;
    app.me(&own.0).await.expect(200, "");
    faults.sessions.store(false, Ordering::SeqCst);
    is_dead(&app, &other).await;
    app.refresh(&own.1).await.expect(200, "");
    // The answer may have been lost: the repeated request reports success.
    app.change_password(&own.0, PASSWORD, NEW).await.expect(204, "");
    app.login(ADA, NEW).await.expect(200, "");
    app.login(ADA, PASSWORD).await.expect(401, "bad-credentials");
}

#[tokio::test]
async fn a_logout_everywhere_holds_though_no_session_can_be_written() {
    let (app, faults) = App::start_faulty().await;
    let sessions = [app.sign_in(ADA).await, app.sign_in(ADA).await];
    let bob = app.sign_in("bob@example.com").await;
    faults.sessions.store(true, Ordering::SeqCst);
    app.post_as(&sessions[0].0, "/auth/logout-all").await.expect(204, "");
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
    let id = app.id_of(&session.0).await;
    faults.sessions.store(true, Ordering::SeqCst);
    app.act(&admin, id, "disable").await.expect(200, "");
    is_dead(&app, &session).await;
    faults.sessions.store(false, Ordering::SeqCst);
    app.act(&admin, id, "enable").await.expect(200, "");
    is_dead(&app, &session).await;
    app.sign_in(ADA).await;
}

#[tokio::test]
async fn read_models_that_cannot_be_read_stop_nothing() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (own, other) = (app.sign_in(ADA).await, app.sign_in(ADA).await);
    let id = app.id_of(&own.0).await;
    for table in ["sessions", "accounts", "checkpoints"] {
        let sql = format!("DROP TABLE {table}");
        app.dependencies.read_models.execute(&sql, &[]).await.unwrap();
    }
    assert_eq!(app.sessions(&own.0).await.len(), 2);
    app.change_password(&own.0, PASSWORD, NEW).await.expect(204, "");
    is_dead(&app, &other).await;
    app.post_as(&own.0, "/auth/logout-all").await.expect(204, "");
    is_dead(&app, &own).await;
    app.set_roles(&admin, id, json!(["auditor"])).await.expect(200, "");
    app.act(&admin, id, "disable").await.expect(200, "");
    let root = app.id_of(&admin).await;
    app.act(&admin, root, "disable").await.expect(409, "last-admin");
    app.me(&admin).await.expect(200, "");
}

#[tokio::test]
async fn the_last_admin_survives_a_crash_between_any_two_appends() {
    let (app, faults) = App::start_faulty().await;
    let (one, two) = (app.sign_in_admin("one@example.com").await, app.sign_in_admin("two@example.com").await);
    let ids = (app.id_of(&one).await, app.id_of(&two).await);
    let drop_role = async |token: &str, id: UserId| app.set_roles(token, id, json!(["user"])).await;
    faults.accounts.store(true, Ordering::SeqCst);
    drop_role(&one, ids.1).await.expect(503, "unavailable");
    drop_role(&one, ids.0).await.expect(409, "last-admin");
    app.act(&one, ids.0, "disable").await.expect(409, "last-admin");
    faults.accounts.store(false, Ordering::SeqCst);
    // The role is removed by one append, another role does not bring it back, and the repeated request completes the
    // rest.
    let granted = app.grant("two@example.com", Role::Auditor).await;
    assert_eq!(granted.roles, [Role::User, Role::Auditor].into());
    drop_role(&two, ids.1).await.expect(403, "forbidden");
    drop_role(&one, ids.1).await.expect(200, "");
    drop_role(&one, ids.0).await.expect(409, "last-admin");
    let me = app.me(&one).await.expect(200, "");
    assert_eq!(me.body["user"]["roles"], json!(["user", "admin"]));
}

#[tokio::test]
async fn an_enabled_admin_is_an_admin_again() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let deputy = app.sign_in_admin("deputy@example.com").await;
    let id = app.id_of(&deputy).await;
    app.act(&admin, id, "disable").await.expect(200, "");
    let root = app.id_of(&admin).await;
    app.act(&admin, root, "disable").await.expect(409, "last-admin");
    let enabled = app.act(&admin, id, "enable").await.expect(200, "");
    assert_eq!(enabled.body["user"]["roles"], json!(["user", "admin"]));
    app.act(&admin, root, "disable").await.expect(200, "");
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
    assert_eq!(app.sessions(&newest.0).await.len(), MAX_OPEN_SESSIONS);
    app.post_as(&ended.0, "/auth/logout").await.expect(204, "");
    app.sign_in(ADA).await;
    app.me(&oldest.0).await.expect(200, "");
    app.sign_in(ADA).await;
    is_dead(&app, &oldest).await;
    assert_eq!(app.sessions(&newest.0).await.len(), MAX_OPEN_SESSIONS);
}

#[tokio::test]
async fn events_of_a_later_build_hide_nothing_but_their_own_session() {
    let app = App::start().await;
    let (own, other) = (app.sign_in(ADA).await, app.sign_in(ADA).await);
    let id = app.id_of(&own.0).await;
    let list = async || app.sessions(&own.0).await;
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
    app.change_password(&own.0, PASSWORD, NEW).await.expect(204, "");
    assert_ne!(app.me(&other.0).await.status, 200);
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
    let id = app.id_of(&access).await;
    assert_eq!(heard(&mut *listener).await, Revocation::Account(id));
    let listed = app.sessions(&access).await;
    assert_eq!(listed.len(), 1);
    app.post_as(&access, "/auth/logout").await.expect(204, "");
    let session = listed[0]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(heard(&mut *listener).await, Revocation::Session(session));
}

#[tokio::test]
async fn every_change_that_ends_something_is_broadcast() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (own, _) = app.sign_in(ADA).await;
    let id = app.id_of(&own).await;
    let mut listener = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    app.change_password(&own, PASSWORD, NEW).await.expect(204, "");
    assert_eq!(heard(&mut *listener).await, Revocation::Account(id));
    app.set_roles(&admin, id, json!(["auditor"])).await.expect(200, "");
    assert_eq!(heard(&mut *listener).await, Revocation::Account(id));
    app.act(&admin, id, "disable").await.expect(200, "");
    assert_eq!(heard(&mut *listener).await, Revocation::Account(id));
}
