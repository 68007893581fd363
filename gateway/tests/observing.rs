//! One page of metrics and one readiness for the whole system.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use gateway::{Config, Upstream};
use http::StatusCode;
use http_api::{Health, HttpService, public_of, with_middleware};
use http_server::ServerOptions;
use runtime::Metrics;
use serde_json::json;
use support::{Background, DEADLINE, ask, embedded, http, json_of, nobody, request, role, text};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

async fn get(gateway: &HttpService, path: &str) -> axum::response::Response {
    ask(gateway, request("GET", path, &[], Body::empty())).await
}

#[tokio::test]
async fn one_page_shows_the_metrics_of_every_role_under_one_head_each() {
    let background = Background::default();
    let replicas = [background.serve(role("query-api")).await, background.serve(role("query-api")).await];
    let down = nobody().await;
    let config = Config { query_api: http(replicas), projector: http([down]), ..embedded() };
    let gateway = background.gateway(config).await;
    for _ in 0..2 {
        assert_eq!(get(&gateway, "/tasks").await.status(), StatusCode::OK);
    }
    assert_eq!(get(&gateway, "/auth/me").await.status(), StatusCode::OK);
    let response = get(&gateway, "/metrics").await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let page = text(response).await;
    let [one, two] = replicas;
    for line in [
        "# HELP taskledger_http_requests_total HTTP requests answered.".to_owned(),
        "# TYPE taskledger_http_requests_total counter".to_owned(),
        r#"taskledger_http_requests_total{method="GET",route="/tasks",status="200",role="gateway"} 2"#
            .to_owned(),
        r#"taskledger_http_requests_total{method="GET",route="/{*path}",status="200",role="auth"} 1"#
            .to_owned(),
        format!(
            r#"taskledger_http_requests_total{{instance="{one}",method="GET",route="/{{*path}}",status="200",role="query-api"}} 1"#
        ),
        format!(
            r#"taskledger_http_requests_total{{instance="{two}",method="GET",route="/{{*path}}",status="200",role="query-api"}} 1"#
        ),
        format!(r#"taskledger_upstream_up{{replica="{one}",upstream="query-api",role="gateway"}} 1"#),
        format!(r#"taskledger_upstream_up{{replica="{down}",upstream="projector",role="gateway"}} 0"#),
        r#"taskledger_upstream_up{replica="in-process",upstream="auth",role="gateway"} 1"#.to_owned(),
    ] {
        assert_eq!(page.lines().filter(|found| *found == line).count(), 1, "{line}\nin\n{page}");
    }
}

#[tokio::test]
async fn who_is_not_on_the_page_is_named_and_asking_often_costs_one_look() {
    let background = Background::default();
    let down = nobody().await;
    // A look is shared for a second, so askers who take longer begin again with another gateway.
    let (replica, gateway, pages) = loop {
        let replica = background.serve(role("query-api")).await;
        let config = Config { query_api: http([replica]), projector: http([down]), ..embedded() };
        let gateway = background.gateway(config).await;
        let begun = Instant::now();
        let asking = (0..20).map(|_| async { text(get(&gateway, "/metrics").await).await });
        let pages = futures::future::join_all(asking).await;
        if begun.elapsed() < Duration::from_millis(900) {
            break (replica, gateway, pages);
        }
    };
    let remark = format!("# projector at {down} is not on this page: cannot connect");
    for page in &pages {
        assert!(page.lines().any(|line| line == remark), "{page}");
        assert_eq!(page, &pages[0]);
    }
    // A role shows how often it was probed before, and there was one probe within the second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let page = text(get(&gateway, "/metrics").await).await;
    let looks = format!(
        r#"taskledger_http_requests_total{{instance="{replica}",method="GET",route="/metrics",status="200",role="query-api"}} 1"#
    );
    assert!(page.lines().any(|line| line == looks), "{looks} in\n{page}");
}

#[tokio::test]
async fn a_page_that_is_no_metrics_is_left_out_and_spoils_no_other() {
    let background = Background::default();
    let html = axum::routing::get(|| async { axum::response::Html("<html><p>It works 1</p></html>\n") });
    let liar = background.serve(Router::new().route("/metrics", html)).await;
    let honest = background.serve(role("query-api")).await;
    let config = Config { query_api: http([liar, honest]), ..embedded() };
    let page = text(get(&background.gateway(config).await, "/metrics").await).await;
    assert!(!page.contains("It works"), "{page}");
    for line in [
        format!("# query-api at {liar} is not on this page: what it answered is not a page of metrics"),
        format!(r#"taskledger_upstream_up{{replica="{liar}",upstream="query-api",role="gateway"}} 0"#),
        format!(r#"taskledger_upstream_up{{replica="{honest}",upstream="query-api",role="gateway"}} 1"#),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

#[tokio::test]
async fn ready_means_that_every_upstream_is() {
    let background = Background::default();
    let ready = get(&background.embedded().await, "/health/ready").await;
    assert_eq!(ready.status(), StatusCode::OK);
    let checks = json!({"command-api": "ok", "query-api": "ok", "auth": "ok", "projector": "ok"});
    assert_eq!(json_of(ready).await, json!({"status": "ready", "checks": checks}));

    let health = Health::new()
        .check("bus", || async { Ok(()) })
        .check("database", || async { Err("gone".to_owned()) });
    let sick = with_middleware(Router::new(), "auth", &Metrics::new("auth"), health);
    let sick = background.serve(sick).await;
    let one_of_two = [background.serve(role("query-api")).await, nobody().await];
    let config = Config {
        auth: http([sick]),
        projector: http([nobody().await]),
        query_api: http(one_of_two),
        ..embedded()
    };
    let gateway = background.gateway(config).await;
    let unready = get(&gateway, "/health/ready").await;
    assert_eq!(unready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let checks = json!({
        "command-api": "ok",
        "query-api": "ok",
        "auth": "not ready: database",
        "projector": "cannot connect",
    });
    assert_eq!(json_of(unready).await, json!({"status": "unavailable", "checks": checks}));
    assert_eq!(get(&gateway, "/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn strangers_who_take_all_their_places_keep_no_probe_out() {
    let background = Background::default();
    let (arrived, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let held = {
        let (arrived, leave) = (Arc::clone(&arrived), Arc::clone(&leave));
        move || {
            let leave = Arc::clone(&leave);
            arrived.notify_one();
            async move { leave.notified().await }
        }
    };
    let held = Router::new().route("/tasks", axum::routing::get(held));
    let gateway =
        background.gateway(Config { query_api: Upstream::InProcess(held.into()), ..embedded() }).await;
    // One of these places is for requests without a token.
    let options = ServerOptions { max_requests: 2, ..ServerOptions::default() };
    let address = background.serve_with(public_of(gateway), options).await;
    let send = async |path: &str| {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        client
    };
    let answer = async |path: &str| {
        let mut answer = String::new();
        send(path).await.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let mut at_work = send("/tasks").await;
    tokio::time::timeout(DEADLINE, arrived.notified()).await.unwrap();
    let refused = answer("/tasks").await;
    assert!(refused.contains("\"overloaded\""), "{refused}");
    let live = answer("/health/live").await;
    assert!(live.starts_with("HTTP/1.1 200 "), "{live}");
    // That role has no probes here, so that the gateway is not ready, and says so.
    let ready = answer("/health/ready").await;
    assert!(ready.contains("{\"status\":\"unavailable\"}"), "{ready}");
    leave.notify_one();
    at_work.read_to_end(&mut Vec::new()).await.unwrap();
}
