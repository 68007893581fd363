//! Upstreams that are down, start late, or have several replicas.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use axum::{Router, body::Body, routing::any};
use gateway::{Config, Upstream};
use http::{StatusCode, header};
use http_api::{Health, HttpService, with_middleware};
use runtime::Metrics;
use support::{Background, ask, embedded, http, json_of, nobody, request, role, text};
use test_support::{eventually, make_pipe, open_pipe};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A server that accepts connections and requests, and drops them without an answer.
async fn hangs_up(background: &Background) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    background.0.spawn_until_stopped("server", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    address
}

/// A role whose answers name its replica.
fn replica(number: &'static str) -> HttpService {
    with_middleware(
        Router::new().route("/{*path}", any(move || async move { number })),
        "query-api",
        &Metrics::new("query-api"),
        Health::new(),
    )
}

#[tokio::test]
async fn an_upstream_that_is_down_is_503_with_retry_after() {
    let background = Background::default();
    let gateway = background.gateway(Config { command_api: http([nobody().await]), ..embedded() }).await;
    for (method, path) in [("POST", "/tasks"), ("PATCH", "/tasks/1"), ("POST", "/tasks/1/start")] {
        let response = ask(&gateway, request(method, path, &[("x-request-id", "mine-1")], "{}")).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let problem = json_of(response).await;
        assert_eq!((&problem["code"], &problem["request_id"]), (&"unavailable".into(), &"mine-1".into()));
        assert_eq!(problem["detail"], "The request was not carried out. Send it again.");
    }
    let others = ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await;
    assert_eq!(others.status(), StatusCode::OK, "the other roles are not concerned");
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_used_at_once() {
    let background = Background::default();
    let address = nobody().await;
    let gateway = background.gateway(Config { query_api: http([address]), ..embedded() }).await;
    let ask_once = || async { ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await.status() };
    assert_eq!(ask_once().await, StatusCode::SERVICE_UNAVAILABLE);
    let listener = http_server::bind(address).await.unwrap();
    let server = http_server::serve(
        listener,
        role("query-api"),
        http_server::ServerOptions::default(),
        background.0.stop(),
    );
    background.0.spawn("server", server);
    assert_eq!(ask_once().await, StatusCode::OK);
}

#[tokio::test]
async fn replicas_take_turns() {
    let background = Background::default();
    let addresses = [background.serve(replica("one")).await, background.serve(replica("two")).await];
    let gateway = background.gateway(Config { query_api: http(addresses), ..embedded() }).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(text(ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await).await);
    }
    assert_eq!(answers.iter().filter(|answer| *answer == "one").count(), 5, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "two").count(), 5, "{answers:?}");
}

#[tokio::test]
async fn a_replica_that_takes_no_connection_is_passed_over_also_with_a_body() {
    let background = Background::default();
    let addresses = [nobody().await, background.serve(role("command-api")).await, nobody().await];
    let gateway = background.gateway(Config { command_api: http(addresses), ..embedded() }).await;
    for _ in 0..12 {
        let response = ask(&gateway, request("POST", "/tasks", &[], "the whole body")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(json_of(response).await["body"], "the whole body");
    }
}

#[tokio::test]
async fn a_replica_that_hangs_up_is_passed_over_when_that_does_no_harm() {
    let background = Background::default();
    let upstream = [hangs_up(&background).await, background.serve(role("any")).await];
    let config = || Config { command_api: http(upstream), query_api: http(upstream), ..embedded() };
    let gateway = background.gateway(config()).await;
    for _ in 0..6 {
        let read = ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await;
        assert_eq!(read.status(), StatusCode::OK);
        let delete = ask(&gateway, request("DELETE", "/tasks/1", &[], Body::empty())).await;
        assert_eq!(delete.status(), StatusCode::OK);
    }
    // It is unknown whether it took effect, so it is not sent again.
    let gateway = background.gateway(Config { command_api: http([upstream[0]]), ..embedded() }).await;
    for (path, body) in [("/tasks", "{}"), ("/tasks/1/start", "")] {
        let response = ask(&gateway, request("POST", path, &[], body)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let detail = json_of(response).await["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("It is not known whether the request was carried out."), "{detail}");
    }
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_not_called_undone_because_the_next_replica_is_away() {
    let background = Background::default();
    let upstream = [hangs_up(&background).await, nobody().await];
    for _ in 0..2 {
        let gateway = background.gateway(Config { query_api: http(upstream), ..embedded() }).await;
        let response = ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let detail = json_of(response).await["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("It is not known"), "{detail}");
    }
}

#[tokio::test]
async fn a_replica_that_is_not_ready_gets_no_requests() {
    let background = Background::default();
    let health = Health::new().check("database", || async { Err("gone".to_owned()) });
    let sick = Router::new().route("/{*path}", any(|| async { "sick" }));
    let sick = with_middleware(sick, "query-api", &Metrics::new("query-api"), health);
    let addresses = [background.serve(sick).await, background.serve(replica("well")).await];
    let gateway = background.gateway(Config { query_api: http(addresses), ..embedded() }).await;
    eventually("it was probed", async || {
        let mut answers = BTreeSet::new();
        for _ in 0..4 {
            answers.insert(text(ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await).await);
        }
        answers == BTreeSet::from(["well".to_owned()])
    })
    .await;
}

#[tokio::test]
async fn a_slow_upstream_delays_nobody_else() {
    let background = Background::default();
    let gate = Arc::new(Notify::new());
    let opens = Arc::clone(&gate);
    let slow = Router::new().route(
        "/tasks",
        any(move || {
            let gate = Arc::clone(&opens);
            async move {
                gate.notified().await;
                "at last"
            }
        }),
    );
    let slow = background.serve(slow).await;
    let gateway = background.gateway(Config { query_api: http([slow]), ..embedded() }).await;
    let waiting = gateway.clone();
    let waiting =
        tokio::spawn(async move { ask(&waiting, request("GET", "/tasks", &[], Body::empty())).await });
    for _ in 0..20 {
        assert_eq!(ask(&gateway, request("POST", "/tasks", &[], "{}")).await.status(), StatusCode::OK);
    }
    assert!(!waiting.is_finished());
    gate.notify_one();
    assert_eq!(text(waiting.await.unwrap()).await, "at last");
}

#[tokio::test]
async fn a_prefix_in_an_address_goes_in_front_of_every_path() {
    let background = Background::default();
    let address = background.serve(role("query-api")).await;
    let upstream = Upstream::Http(vec![format!("http://{address}/inner/").parse().unwrap()]);
    let gateway = background.gateway(Config { query_api: upstream, ..embedded() }).await;
    let told = support::told(&gateway, "GET", "/tasks?limit=3", &[]).await;
    assert_eq!(told["path"], "/inner/tasks?limit=3");
}

#[tokio::test]
async fn addresses_that_cannot_be_used_stop_the_start() {
    let verifier = || auth_client::Verifier::direct(Arc::new(Nobody));
    for (urls, sentence) in [
        (vec![], "auth needs at least one address, such as http://127.0.0.1:8081"),
        (
            vec!["https://example.com/"],
            "auth is at `https://example.com/`, and nobody is believed about that: set TASKLEDGER_UPSTREAM_CA to the file of its \
             authority",
        ),
        (
            vec!["ftp://example.com/"],
            "`ftp://example.com/` is not an address of auth: expected a URL such as http://localhost:8081",
        ),
        (
            vec!["http://somebody:hush@example.com/auth?token=hush"],
            "`http://***@example.com/auth?***` is not an address of auth: expected a URL such as http://localhost:8081",
        ),
        (
            vec!["http://:hush@example.com/"],
            "`http://***@example.com/` is not an address of auth: expected a URL such as http://localhost:8081",
        ),
        (vec!["http://127.0.0.1:8081", "http://127.0.0.1:8081/"], "auth is listed twice at 127.0.0.1:8081"),
    ] {
        let urls = urls.into_iter().map(|url| url.parse().unwrap()).collect();
        let background = Background::default();
        let config = Config { auth: Upstream::Http(urls), ..embedded() };
        let outcome = gateway::start(config, verifier(), &background.0).await;
        assert_eq!(outcome.unwrap_err().to_string(), sentence);
    }
}

#[tokio::test]
async fn a_file_system_that_does_not_answer_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("gateway.toml");
    make_pipe(&pipe);
    let config = Config { policy: Some(pipe.clone()), ..embedded() };
    let verifier = auth_client::Verifier::direct(Arc::new(Nobody));
    // The file is an empty one after the test, or so late that the test fails.
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let opened = std::thread::spawn(move || {
        let _ = ended.recv_timeout(std::time::Duration::from_secs(20));
        drop(open_pipe(&pipe));
    });
    let background = Background::default();
    let outcome = gateway::start(config, verifier, &background.0).await;
    assert_eq!(
        format!("{:#}", outcome.unwrap_err()),
        "the gateway cannot read its files: the file system does not answer"
    );
    drop(end);
    opened.join().unwrap();
}

struct Nobody;

#[async_trait::async_trait]
impl auth_client::Check for Nobody {
    async fn check(&self, _: &str) -> Result<auth_client::Identity, auth_client::VerifyError> {
        Err(auth_client::Rejection::Malformed.into())
    }
}

#[tokio::test]
async fn a_body_is_asked_for_only_once_its_role_wants_it() {
    let background = Background::default();
    let unwanted = with_middleware(
        Router::new().route("/tasks", any(|| async { (StatusCode::UNAUTHORIZED, "") })),
        "command-api",
        &Metrics::new("command-api"),
        Health::new(),
    );
    let wanted = role("command-api");
    for (role, expected) in
        [(unwanted, "HTTP/1.1 401"), (wanted, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")]
    {
        let role = background.serve(role).await;
        let gateway = background.gateway(Config { command_api: http([role]), ..embedded() }).await;
        let gateway = background.serve(gateway).await;
        let mut client = TcpStream::connect(gateway).await.unwrap();
        client
            .write_all(
                b"POST /tasks HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
            )
            .await
            .unwrap();
        let mut answer = vec![0; expected.len().min(25)];
        client.read_exact(&mut answer).await.unwrap();
        if expected.contains("Continue") {
            client.write_all(b"{}").await.unwrap();
            let mut rest = vec![0; expected.len() - answer.len()];
            client.read_exact(&mut rest).await.unwrap();
            answer.extend(rest);
        }
        assert_eq!(String::from_utf8_lossy(&answer), expected);
    }
}
