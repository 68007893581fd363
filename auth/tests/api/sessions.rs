//! `GET /auth/sessions` and `DELETE /auth/sessions/{id}`

use std::sync::atomic::Ordering;

use http::Method;
use serde_json::{Value, json};

use crate::support::{ADA, App, PASSWORD};

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_live_sessions_the_newest_first() {
    let app = App::start().await;
    app.register(ADA).await;
    let body = json!({"email": ADA, "password": PASSWORD});
    let call = app.post("/auth/login").json(&body);
    let call = call.header("x-forwarded-for", "203.0.113.7");
    let first = call.header("user-agent", "phone").send().await.expect(200, "");
    app.clock.advance(60);
    let (second, _) = app.sign_in(ADA).await;
    app.clock.advance(60);
    app.refresh(&first.text("/refresh_token")).await.expect(200, "");
    app.sign_in("bob@example.com").await;

    let items = app.sessions(&second).await;
    let id = |index: usize| items[index]["id"].clone();
    assert_eq!(
        items,
        [
            json!({
                "id": id(0), "started_at": "2027-01-15T08:01:00.123456Z",
                "last_refreshed_at": "2027-01-15T08:01:00.123456Z", "expires_at": "2027-01-22T08:01:00.123456Z",
                "ip": null, "user_agent": null, "current": true,
            }),
            json!({
                "id": id(1), "started_at": "2027-01-15T08:00:00.123456Z",
                "last_refreshed_at": "2027-01-15T08:02:00.123456Z", "expires_at": "2027-01-22T08:00:00.123456Z",
                "ip": "203.0.113.7", "user_agent": "phone", "current": false,
            }),
        ]
    );
}

#[tokio::test]
async fn expired_sessions_are_not_listed() {
    let app = App::start().await;
    app.sign_in(ADA).await;
    app.clock.advance(604_800);
    let (access, _) = app.sign_in(ADA).await;
    assert_eq!(app.sessions(&access).await.len(), 1);
}

#[tokio::test]
async fn ends_one_of_ones_own() {
    let app = App::start().await;
    let (first, _) = app.sign_in(ADA).await;
    app.clock.advance(1);
    let (second, refresh) = app.sign_in(ADA).await;
    let items = app.sessions(&first).await;
    let path = format!("/auth/sessions/{}", ids(&items)[0]);
    let end = || app.delete_as(&first, &path);
    let answer = end().await.expect(204, "");
    assert!(!answer.header("consistency-token").is_empty());
    end().await.expect(204, "");
    app.me(&second).await.expect(401, "session-ended");
    app.refresh(&refresh).await.expect(401, "session-ended");
    assert_eq!(ids(&app.sessions(&first).await), [ids(&items)[1]]);
    assert_eq!(app.payloads("session.ended").await.len(), 1);
}

#[tokio::test]
async fn ends_the_one_that_asks() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let items = app.sessions(&access).await;
    let path = format!("/auth/sessions/{}", ids(&items)[0]);
    app.delete_as(&access, &path).await.expect(204, "");
    app.me(&access).await.expect(401, "session-ended");
}

#[tokio::test]
async fn sessions_of_others_are_not_there() {
    let app = App::start().await;
    let (ada, _) = app.sign_in(ADA).await;
    let (bob, _) = app.sign_in("bob@example.com").await;
    let items = app.sessions(&ada).await;
    let someone = uuid::Uuid::now_v7().to_string();
    for id in [ids(&items)[0], &someone, "nonsense"] {
        let path = format!("/auth/sessions/{id}");
        app.delete_as(&bob, &path).await.expect(404, "not-found");
        app.call(Method::DELETE, &path).send().await.expect(401, "token-missing");
    }
    app.me(&ada).await.expect(200, "");
}

#[tokio::test]
async fn a_login_that_fails_after_its_session_began_leaves_none_open() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    faults.lose_next_session_answer.store(true, Ordering::SeqCst);
    app.login(ADA, PASSWORD).await.expect(503, "unavailable");
    let kinds = app.kinds().await;
    assert_eq!(kinds[kinds.len() - 2..], ["session.started", "session.ended"]);
    assert_eq!(app.sessions(&access).await.len(), 1);
}
