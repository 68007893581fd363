//! `If-Match` and `If-None-Match` under `/auth`, where nothing has an entity tag.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{ADA, Answer, App, PASSWORD};

/// Conditions that do not hold for what is there and has no version.
const FAILING: [(&str, &str); 3] = [("if-match", "\"1\""), ("if-match", "W/\"1\""), ("if-none-match", "*")];

async fn send(
    app: &App,
    (method, path): (Method, &str),
    token: &str,
    (name, value): (&str, &str),
    body: Option<&Value>,
) -> Answer {
    let call = app.call(method, path).token(token).header(name, value);
    match body {
        Some(body) => call.json(body).send().await,
        None => call.send().await,
    }
}

#[tokio::test]
async fn a_write_whose_condition_does_not_hold_is_not_carried_out() {
    let app = App::start().await;
    let root = app.sign_in_admin("root@example.com").await;
    let id = app.register(ADA).await.text("/user/id");
    let (access, _) = app.sign_in(ADA).await;
    let before = app.log().await.len();
    let roles = format!("/auth/users/{id}/roles");
    let disable = format!("/auth/users/{id}/disable");
    let name = json!({"display_name": "Ada"});
    let all = json!({"roles": ["user", "auditor"]});
    let password = json!({"password": PASSWORD});
    for condition in FAILING {
        for (method, path, token, body) in [
            (Method::PATCH, "/auth/me", &access, Some(&name)),
            (Method::DELETE, "/auth/me", &access, Some(&password)),
            (Method::POST, "/auth/logout", &access, None),
            (Method::DELETE, "/auth/tokens", &access, None),
            (Method::PUT, &*roles, &root, Some(&all)),
            (Method::POST, &*disable, &root, None),
            (Method::PUT, "/auth/second-factor-roles", &root, Some(&all)),
        ] {
            let answer = send(&app, (method, path), token, condition, body).await;
            let answer = answer.expect(412, "version-mismatch");
            assert_eq!(answer.header("etag"), "", "there is no version to tell");
        }
    }
    let account = json!({"email": "bob@example.com", "password": PASSWORD});
    for (name, value) in FAILING {
        let call = app.post("/auth/register").header(name, value).json(&account);
        call.send().await.expect(412, "version-mismatch");
    }
    assert_eq!(app.log().await.len(), before);
    for condition in [("if-match", "*"), ("if-none-match", "\"1\"")] {
        let renaming = (Method::PATCH, "/auth/me");
        let renamed = send(&app, renaming, &access, condition, Some(&name)).await;
        assert_eq!(renamed.expect(200, "").body["user"]["display_name"], "Ada");
        let giving = (Method::PUT, &*roles);
        send(&app, giving, &root, condition, Some(&all)).await.expect(200, "");
    }
}

#[tokio::test]
async fn a_read_is_answered_as_its_condition_says() {
    let app = App::start().await;
    let root = app.sign_in_admin("root@example.com").await;
    app.project(app.log().await.len() as u64).await;
    for path in ["/auth/me", "/auth/sessions", "/auth/tokens", "/auth/users", "/auth/second-factor-roles"] {
        for (name, value, status, code) in [
            ("if-none-match", "\"x\"", 200, ""),
            ("if-none-match", "*", 304, ""),
            ("if-match", "*", 200, ""),
            ("if-match", "\"x\"", 412, "version-mismatch"),
            ("if-match", "x", 400, "bad-parameter"),
        ] {
            let answer = send(&app, (Method::GET, path), &root, (name, value), None).await;
            let answer = answer.expect(status, code);
            assert_eq!(answer.body.is_null(), status == 304, "{path}: {answer:?}");
            let has_token = !answer.header("consistency-token").is_empty();
            assert!(has_token || status == 400, "{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn who_may_do_it_and_what_is_there_come_before_the_conditions() {
    let app = App::start().await;
    let root = app.sign_in_admin("root@example.com").await;
    let (access, _) = app.sign_in(ADA).await;
    let sessions = app.get_as(&root, "/auth/sessions").await;
    let others = sessions.text("/items/0/id");
    let nobody = Uuid::now_v7();
    let roles = json!({"roles": ["user"]});
    for condition in FAILING.into_iter().chain([("if-match", "x")]) {
        for path in ["/auth/users/1/roles".to_owned(), format!("/auth/users/{nobody}/roles")] {
            let giving = || (Method::PUT, &*path);
            let answer = send(&app, giving(), "x", condition, Some(&roles)).await;
            answer.expect(401, "token-invalid");
            let answer = send(&app, giving(), &access, condition, Some(&roles)).await;
            answer.expect(403, "forbidden");
            let answer = send(&app, giving(), &root, condition, Some(&roles)).await;
            answer.expect(404, "not-found");
        }
        for (method, path) in [
            (Method::POST, format!("/auth/users/{nobody}/disable")),
            (Method::POST, format!("/auth/users/{nobody}/enable")),
            (Method::POST, format!("/auth/users/{nobody}/reset")),
            (Method::DELETE, format!("/auth/users/{nobody}/tokens")),
            (Method::DELETE, format!("/auth/tokens/{nobody}")),
            (Method::DELETE, format!("/auth/sessions/{nobody}")),
        ] {
            let answer = send(&app, (method, &*path), &root, condition, None).await;
            answer.expect(404, "not-found");
        }
        let theirs = format!("/auth/sessions/{others}");
        let answer = send(&app, (Method::DELETE, &*theirs), &access, condition, None).await;
        answer.expect(404, "not-found");
        let reading = (Method::GET, "/auth/users");
        send(&app, reading, &access, condition, None).await.expect(403, "forbidden");
    }
    let malformed = ("if-match", "x");
    let logout = (Method::POST, "/auth/logout");
    send(&app, logout, &access, malformed, None).await.expect(400, "bad-parameter");
    app.me(&access).await.expect(200, "");
}

#[tokio::test]
async fn what_was_taken_back_is_still_there_for_a_condition() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let (other, _) = app.sign_in(ADA).await;
    let sessions = app.get_as(&other, "/auth/sessions").await;
    let session = format!("/auth/sessions/{}", sessions.text("/items/1/id"));
    let new = json!({"name": "Backup", "scopes": ["tasks:read"]});
    let made = app.post("/auth/tokens").token(&other).json(&new).send().await;
    let token = format!("/auth/tokens/{}", made.text("/id"));
    for path in [session, token] {
        let ending = || (Method::DELETE, &*path);
        for condition in FAILING {
            let answer = send(&app, ending(), &other, condition, None).await;
            answer.expect(412, "version-mismatch");
        }
        let holds = ("if-match", "*");
        send(&app, ending(), &other, holds, None).await.expect(204, "");
        for condition in FAILING {
            let answer = send(&app, ending(), &other, condition, None).await;
            answer.expect(412, "version-mismatch");
        }
    }
    app.me(&access).await.expect(401, "session-ended");
}
