//! `GET /auth/me`, `PATCH /auth/me`, and the access tokens of every endpoint.

use http::Method;
use serde_json::json;

use crate::support::{ADA, App};

#[tokio::test]
async fn shows_the_caller() {
    let app = App::start().await;
    let registered = app.register(ADA).await;
    let (access, _) = app.sign_in(ADA).await;
    let answer = app.me(&access).await.expect(200, "");
    assert_eq!(answer.body, registered.body);
}

#[tokio::test]
async fn bad_tokens_are_told_apart() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    app.get("/auth/me").send().await.expect(401, "token-missing");
    app.get("/auth/me").header("authorization", "Basic YTpi").send().await.expect(401, "token-missing");
    let mut forged = access.clone();
    let middle = access.find('.').unwrap() + 10;
    forged.replace_range(middle..=middle, if &access[middle..=middle] == "A" { "B" } else { "A" });
    for token in ["", "x", "a.b.c", &forged, &format!("{access}x"), &"a.".repeat(3000)] {
        let answer = app.me(token).await.expect(401, "token-invalid");
        assert!(
            answer.header("www-authenticate").starts_with(r#"Bearer error="invalid_token""#),
            "{answer:?}"
        );
    }
    let twice = app.get("/auth/me").token(&access).token(&access).send().await;
    twice.expect(400, "bad-parameter");

    app.clock.advance(899);
    app.me(&access).await.expect(200, "");
    app.clock.advance(1);
    app.me(&access).await.expect(401, "token-expired");
}

#[tokio::test]
async fn tokens_of_another_system_are_refused() {
    let (app, other) = (App::start().await, App::start().await);
    app.register(ADA).await;
    let (access, _) = other.sign_in(ADA).await;
    app.me(&access).await.expect(401, "token-invalid");
}

#[tokio::test]
async fn a_display_name_is_changed_cleared_and_kept() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let rename = |body| app.call(Method::PATCH, "/auth/me").token(&access).json(&body).send();
    let name = |answer: crate::support::Answer| answer.expect(200, "").body["user"]["display_name"].clone();
    assert_eq!(name(rename(json!({"display_name": "Ada"})).await), "Ada");
    assert_eq!(name(rename(json!({})).await), "Ada");
    assert_eq!(name(rename(json!({"display_name": "Ada"})).await), "Ada");
    assert_eq!(app.payloads("account.renamed").await.len(), 1, "what changes nothing is no event");
    assert_eq!(name(rename(json!({"display_name": null})).await), json!(null));
    let long = "x".repeat(101);
    for (value, code) in [
        (json!(""), "empty"),
        (json!(long), "too-long"),
        (json!("a\u{7}b"), "control-character"),
        (json!("\u{2800}"), "empty"),
        (json!("a\u{202e}b"), "direction-control"),
    ] {
        let mistakes = rename(json!({"display_name": value})).await.mistakes();
        assert_eq!(mistakes, [("/display_name".to_owned(), code.to_owned())]);
    }
    let mistakes = rename(json!({"email": "new@example.com"})).await.mistakes();
    assert_eq!(mistakes[0].1, "unknown-field");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let app = App::start().await;
    let answer = app.call(Method::DELETE, "/auth/login").bare().await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
    assert_eq!(app.get("/auth/nothing").bare().await.code(), "not-found");
}
