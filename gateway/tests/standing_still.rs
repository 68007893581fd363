//! Clients and replicas that stop in the middle of a request. Others are not affected by them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::any};
use gateway::Config;
use http::StatusCode;
use http_api::{Health, Problem, with_middleware};
use runtime::Metrics;
use support::{Background, DEADLINE, ask, embedded, http, request, text};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// A role that reads the body before it answers, and counts the requests.
fn reads_bodies(asked: &Arc<AtomicUsize>) -> Router {
    let asked = Arc::clone(asked);
    let handler = move |body: Body| async move {
        asked.fetch_add(1, Ordering::SeqCst);
        match axum::body::to_bytes(body, usize::MAX).await {
            Ok(_) => "well".into_response(),
            Err(_) => Problem::request_timeout().into_response(),
        }
    };
    with_middleware(
        Router::new().route("/{*path}", any(handler)),
        "auth",
        &Metrics::new("auth"),
        Health::new(),
    )
}

#[tokio::test]
async fn clients_that_hold_their_bodies_back_are_told_so_and_take_a_role_from_nobody() {
    let background = Background::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let gateway = background
        .gateway(Config {
            auth: http([background.serve(reads_bodies(&asked)).await]),
            ..embedded()
        })
        .await;
    let address = background.serve(gateway.clone()).await;
    // More failures than open a circuit. Every second client waits for `100 Continue` before it would send the body.
    let mut clients = Vec::new();
    for expects in ["", "Expect: 100-continue\r\n"].repeat(6) {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("POST /auth/refresh HTTP/1.1\r\nHost: a\r\n{expects}Content-Length: 50\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        clients.push(client);
    }
    let deadline = Instant::now() + DEADLINE;
    while asked.load(Ordering::SeqCst) < clients.len() {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    }
    tokio::time::pause();
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let answer = answer.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    tokio::time::resume();
    let response = ask(&gateway, request("POST", "/auth/refresh", &[], "{}")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_replica_that_stands_still_delays_neither_the_gateway_nor_news_of_the_others() {
    let background = Background::default();
    // The kernel accepts connections, but nobody answers.
    let still = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let health = Health::new().check("look", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    let well = Router::new().route("/{*path}", any(|| async { "well" }));
    let well = with_middleware(well, "query-api", &Metrics::new("query-api"), health);
    let began = Instant::now();
    let gateway = background
        .gateway(Config {
            query_api: http([still.local_addr().unwrap(), background.serve(well).await]),
            ..embedded()
        })
        .await;
    let response = ask(&gateway, request("GET", "/health/ready", &[], Body::empty())).await;
    assert_eq!(response.status(), StatusCode::OK, "{}", text(response).await);
    // The first probe and the request above share one run of the checks. Then there is one probe a second.
    while looks.load(Ordering::SeqCst) < 4 {
        sleep(Duration::from_millis(20)).await;
        let seconds = began.elapsed().as_secs();
        assert!(
            seconds < 5,
            "{} looks in {seconds} s",
            looks.load(Ordering::SeqCst)
        );
    }
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_ends_for_readers_and_for_listeners() {
    let background = Background::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    background.0.spawn_until_stopped("server", async move {
        let mut connections = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await;
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\n: heartbeat\n\n";
            stream.write_all(head).await.unwrap();
            connections.push(stream);
        }
    });
    let gateway = background
        .gateway(Config {
            query_api: http([address]),
            ..embedded()
        })
        .await;
    let response = ask(&gateway, request("GET", "/tasks/events", &[], Body::empty())).await;
    assert_eq!(response.status(), StatusCode::OK);
    tokio::time::pause();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX);
    let body = tokio::time::timeout(Duration::from_secs(600), body).await;
    assert!(body.expect("an end").is_err());
}

#[tokio::test]
async fn a_read_at_a_replica_that_stands_still_is_sent_to_another_one_before_its_client_has_left() {
    let background = Background::default();
    let (still, well) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let replica = |asked: &Arc<AtomicUsize>, answers: bool| {
        let asked = Arc::clone(asked);
        let handler = move || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            match answers {
                true => "well",
                false => std::future::pending().await,
            }
        };
        let router = Router::new().route("/{*path}", any(handler));
        with_middleware(router, "query-api", &Metrics::new("query-api"), Health::new())
    };
    // Both report that they are ready.
    let addresses = [
        background.serve(replica(&still, false)).await,
        background.serve(replica(&well, true)).await,
    ];
    let gateway = background
        .gateway(Config {
            query_api: http(addresses),
            ..embedded()
        })
        .await;
    let began = Instant::now();
    let read = async || ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await;
    let reads = futures::future::join_all((0..16).map(|_| read())).await;
    for response in reads {
        assert_eq!(response.status(), StatusCode::OK);
    }
    let seconds = began.elapsed().as_secs();
    assert!(seconds < 10, "{seconds} s");
    let asked = still.load(Ordering::SeqCst);
    assert!(asked >= 5, "{asked}");
    // After that its circuit is open.
    for _ in 0..16 {
        assert_eq!(read().await.status(), StatusCode::OK);
    }
    assert_eq!(still.load(Ordering::SeqCst), asked, "it is left alone");
}

#[tokio::test]
async fn what_takes_long_everywhere_is_held_against_no_replica() {
    let background = Background::default();
    let replica = |name: &'static str| {
        let handler = move |request: Request| async move {
            if request.uri().path() == "/tasks/long" {
                sleep(Duration::from_millis(3_500)).await;
            }
            name
        };
        let router = Router::new().route("/{*path}", any(handler));
        with_middleware(router, "command-api", &Metrics::new("command-api"), Health::new())
    };
    let addresses = [
        background.serve(replica("one")).await,
        background.serve(replica("two")).await,
    ];
    let gateway = background
        .gateway(Config {
            command_api: http(addresses),
            ..embedded()
        })
        .await;
    // All commands of one person go to the same replica first.
    let headers = [("authorization", "Bearer ann.a.b")];
    let delete = async |path| {
        let response = ask(&gateway, request("DELETE", path, &headers, Body::empty())).await;
        assert_eq!(response.status(), StatusCode::OK);
        text(response).await
    };
    let first = delete("/tasks/short").await;
    for other in futures::future::join_all((0..8).map(|_| delete("/tasks/long"))).await {
        assert_ne!(other, first);
    }
    assert_eq!(delete("/tasks/short").await, first);
}
