//! Authentication, which every endpoint checks first.

use serde_json::json;

use super::support::{App, Stage, bearer_without_tasks, user};

const ENDPOINTS: [(&str, &str); 8] = [
    ("POST", "/tasks"),
    ("PATCH", "/tasks/x"),
    ("DELETE", "/tasks/x"),
    ("POST", "/tasks/x/start"),
    ("POST", "/tasks/x/complete"),
    ("POST", "/tasks/x/cancel"),
    ("POST", "/tasks/x/reopen"),
    ("POST", "/tasks/x/restore"),
];

#[tokio::test]
async fn every_endpoint_asks_for_a_token_before_anything_else() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    for (method, path) in ENDPOINTS {
        let request = || app.request(method, path).header("if-match", "nonsense").key("a b").raw("nonsense");
        let reply = request().anonymous().await;
        reply.is_problem(401, "token-missing");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        for (token, code) in
            [("nonsense", "token-invalid"), ("expired.a.b", "token-expired"), ("ended.a.b", "session-ended")]
        {
            let reply = request().token(token).await;
            reply.is_problem(401, code);
            assert!(reply.header("www-authenticate").starts_with("Bearer error="));
        }
    }
}

#[tokio::test]
async fn without_the_role_user_there_are_no_tasks() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    for (method, path) in ENDPOINTS.into_iter().chain([("POST", "/tasks/batch")]) {
        let request = app.request(method, path).json(json!({"title": "a"}));
        let reply = request.token(&bearer_without_tasks(user(1))).await;
        reply.is_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn when_tokens_cannot_be_checked_nobody_is_turned_away_for_good() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let reply = app.post("/tasks").token("down.a.b").json(json!({"title": "a"})).await;
    reply.is_problem(503, "unavailable");
    assert!(reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    app.post("/nowhere").await.is_problem(404, "not-found");
    let reply = app.request("PUT", "/tasks").await;
    reply.is_problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), "POST");
}
