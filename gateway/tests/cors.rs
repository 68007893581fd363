//! Which pages may use the API: the headers that the gateway sends to browsers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;

use axum::response::Response;
use http::StatusCode;
use http_api::HttpService;
use support::{Background, ask, embedded, request};

const APP: &str = "https://app.example.org";

async fn gateway(background: &Background, policy: &str) -> (HttpService, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    fs::write(&file, policy).unwrap();
    let config = gateway::Config { policy: Some(file), ..embedded() };
    (background.gateway(config).await, directory)
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

fn says_nothing(response: &Response) {
    for name in response.headers().keys() {
        assert!(!name.as_str().starts_with("access-control-"), "{name}");
    }
}

#[tokio::test]
async fn pages_of_an_origin_in_the_list_may_send_what_the_api_takes_and_read_what_it_says() {
    let background = Background::default();
    let (gateway, _directory) = gateway(&background, &format!("allowed_origins = [\"{APP}\"]")).await;
    let asked = [
        ("origin", APP),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,if-match"),
    ];
    let preflight = ask(&gateway, request("OPTIONS", "/tasks/1", &asked, "")).await;
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&preflight, "access-control-allow-origin"), APP);
    assert!(header(&preflight, "access-control-allow-methods").contains("PATCH"));
    assert!(header(&preflight, "access-control-allow-headers").contains("If-Match"));
    assert!(!preflight.headers().contains_key("access-control-allow-credentials"));
    assert!(preflight.headers().contains_key("x-request-id"), "it is in the log");

    // Also answers of the gateway itself, so that a page can read the reason.
    for path in ["/tasks", "/nothing/here", "/health/live"] {
        let response = ask(&gateway, request("GET", path, &[("origin", APP)], "")).await;
        assert_eq!(header(&response, "access-control-allow-origin"), APP, "{path}");
        assert!(header(&response, "access-control-expose-headers").contains("ETag"), "{path}");
        let varies = response.headers().get_all("vary").iter();
        assert!(varies.filter(|value| *value == "Origin").count() == 1, "{path}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_told_nothing() {
    let background = Background::default();
    let (gateway, _directory) = gateway(&background, &format!("allowed_origins = [\"{APP}\"]")).await;
    for origin in
        ["null", "https://evil.example", "https://app.example.org.evil.example", "http://app.example.org"]
    {
        let asked = [("origin", origin), ("access-control-request-method", "GET")];
        let preflight = ask(&gateway, request("OPTIONS", "/tasks", &asked, "")).await;
        assert_ne!(preflight.status(), StatusCode::NO_CONTENT, "{origin}");
        says_nothing(&preflight);
        let response = ask(&gateway, request("GET", "/tasks", &[("origin", origin)], "")).await;
        says_nothing(&response);
        assert_eq!(header(&response, "vary"), "Origin", "it depends on the origin all the same");
    }
}

#[tokio::test]
async fn without_a_list_nobody_is_told_anything() {
    let background = Background::default();
    let gateway = background.embedded().await;
    let asked = [("origin", APP), ("access-control-request-method", "GET")];
    let preflight = ask(&gateway, request("OPTIONS", "/tasks", &asked, "")).await;
    assert_eq!(preflight.status(), StatusCode::METHOD_NOT_ALLOWED);
    says_nothing(&preflight);
    let response = ask(&gateway, request("GET", "/tasks", &[("origin", APP)], "")).await;
    says_nothing(&response);
    assert!(!response.headers().contains_key("vary"));
}
