//! The contract as the gateway shows it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use axum::{body::Body, response::Response};
use http::StatusCode;
use support::{Background, ask, request, text};

async fn get(path: &str) -> Response {
    let background = Background::default();
    let gateway = background.embedded().await;
    ask(&gateway, request("GET", path, &[], Body::empty())).await
}

#[tokio::test]
async fn the_document_is_the_one_in_the_repository() {
    let response = get("/openapi.json").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(text(response).await, include_str!("../../docs/openapi.json"));
}

#[tokio::test]
async fn the_page_shows_every_operation_loads_nothing_and_runs_nothing() {
    let response = get("/docs").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = text(response).await;
    for (_, path) in api_types::openapi::operations() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for code in api_types::ProblemCode::ALL {
        assert!(page.contains(code.as_str()), "{code}");
    }
    // Content that the policy would refuse, or that would leave the page.
    for forbidden in ["<script", "<img", "<link", " style=", " src=", " onclick=", "href=\"http"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let targets = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut links = 0;
    for target in targets {
        assert!(page.contains(&format!("id=\"{target}\"")), "nothing is named {target}");
        links += 1;
    }
    assert!(links > 50, "{links}");
}

#[tokio::test]
async fn both_hold_conditions_without_an_entity_tag() {
    let background = Background::default();
    let gateway = background.embedded().await;
    for path in ["/openapi.json", "/docs"] {
        for (name, value, status) in [
            ("if-match", "*", StatusCode::OK),
            ("if-match", "\"1\"", StatusCode::PRECONDITION_FAILED),
            ("if-none-match", "\"1\"", StatusCode::OK),
            ("if-none-match", "*", StatusCode::NOT_MODIFIED),
        ] {
            let asked = request("GET", path, &[(name, value)], Body::empty());
            let response = ask(&gateway, asked).await;
            assert_eq!(response.status(), status, "{path} {name}: {value}");
            assert_eq!(text(response).await.is_empty(), status == StatusCode::NOT_MODIFIED);
        }
    }
}

#[tokio::test]
async fn both_refuse_other_methods() {
    let background = Background::default();
    let gateway = background.embedded().await;
    for path in ["/openapi.json", "/docs"] {
        let response = ask(&gateway, request("POST", path, &[], Body::empty())).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        assert!(response.headers().contains_key("ratelimit"), "{path}");
    }
}
