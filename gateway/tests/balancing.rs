//! The choice of replicas: a caller's commands go to the replica that remembers their tasks, other requests to the
//! less busy one, and none to one that does not answer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a helper that fails is a test that fails; tests start tasks as they like"
)]

mod support;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, routing::any};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use gateway::Config;
use http::StatusCode;
use http_api::{Health, HttpService, with_middleware};
use runtime::Metrics;
use support::{Background, ask, embedded, http, nobody, request, text};
use test_support::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};

/// A role whose answers name its replica.
fn replica(number: &'static str) -> HttpService {
    with_middleware(
        Router::new().route("/{*path}", any(move || async move { number })),
        "command-api",
        &Metrics::new("command-api"),
        Health::new(),
    )
}

fn authorization(subject: usize, session: usize) -> String {
    let payload = BASE64URL.encode(format!(r#"{{"sid":{session},"sub":"{subject}"}}"#));
    format!("Bearer ann.{payload}.x")
}

/// The replica that answers a command.
async fn place(gateway: &HttpService, subject: usize, session: usize) -> String {
    let authorization = authorization(subject, session);
    let headers = [("authorization", authorization.as_str())];
    text(ask(gateway, request("POST", "/tasks", &headers, "{}")).await).await
}

fn commands_at(addresses: impl IntoIterator<Item = SocketAddr>) -> Config {
    Config { command_api: http(addresses), ..embedded() }
}

#[tokio::test]
async fn commands_of_one_caller_go_to_one_replica_through_every_front_door() {
    let background = Background::default();
    let addresses = [background.serve(replica("one")).await, background.serve(replica("two")).await];
    let gateway = background.gateway(commands_at(addresses)).await;
    let [one, two] = addresses;
    let another = background.gateway(commands_at([two, one])).await;
    let mut places = BTreeSet::new();
    for subject in 0..20 {
        let first = place(&gateway, subject, 0).await;
        for session in 1..4 {
            assert_eq!(place(&gateway, subject, session).await, first);
            assert_eq!(place(&another, subject, session).await, first);
        }
        places.insert(first);
    }
    assert_eq!(places.len(), 2, "both have their callers");
}

#[tokio::test]
async fn a_caller_whose_replica_is_away_goes_to_another_and_comes_back_to_it() {
    let background = Background::default();
    let other = background.serve(replica("other")).await;
    let address = nobody().await;
    let gateway = background.gateway(commands_at([address, other])).await;
    for subject in 0..10 {
        assert_eq!(place(&gateway, subject, 0).await, "other");
    }
    let listener = http_server::bind(address).await.unwrap();
    let server = http_server::serve(
        listener,
        replica("back"),
        http_server::ServerOptions::default(),
        background.0.stop(),
    );
    background.0.spawn("server", server);
    eventually("both replicas are used", async || {
        let mut places = BTreeSet::new();
        for subject in 0..20 {
            places.insert(place(&gateway, subject, 0).await);
        }
        places.len() == 2
    })
    .await;
}

#[tokio::test]
async fn the_replica_with_less_to_do_is_taken() {
    let background = Background::default();
    let (gate, held) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (opens, holds) = (Arc::clone(&gate), Arc::clone(&held));
    let slow = Router::new().route(
        "/tasks",
        any(move || {
            let (gate, held) = (Arc::clone(&opens), Arc::clone(&holds));
            async move {
                held.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                "slow"
            }
        }),
    );
    let slow = with_middleware(slow, "query-api", &Metrics::new("query-api"), Health::new());
    let addresses = [background.serve(slow).await, background.serve(replica("quick")).await];
    let gateway = background.gateway(Config { query_api: http(addresses), ..embedded() }).await;
    let asking = || {
        let gateway = gateway.clone();
        tokio::spawn(
            async move { text(ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await).await },
        )
    };
    let mut waiting = Vec::new();
    while held.load(Ordering::SeqCst) == 0 {
        let next = asking();
        eventually("it is answered or held", async || next.is_finished() || held.load(Ordering::SeqCst) > 0)
            .await;
        waiting.push(next);
    }
    let held_now = held.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(asking().await.unwrap(), "quick");
    }
    assert_eq!(held.load(Ordering::SeqCst), held_now);
    for _ in 0..held_now {
        gate.notify_one();
    }
    for answer in waiting {
        answer.await.unwrap();
    }
}

/// A server that answers probes and drops the connection on everything else, and counts that.
async fn answers_only_probes(background: &Background) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    background.0.spawn_until_stopped("server", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let count = stream.read(&mut request).await.unwrap_or_default();
                if request[..count].starts_with(b"GET /health/ready") {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                } else {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_replica_that_answers_nobody_is_left_alone_although_it_says_that_it_is_ready() {
    let background = Background::default();
    let (mute, asked) = answers_only_probes(&background).await;
    let well = background.serve(replica("well")).await;
    let gateway = background.gateway(commands_at([mute, well])).await;
    let mut unanswered = 0;
    // Without a caller, both replicas would get requests.
    for _ in 0..60 {
        let response = ask(&gateway, request("POST", "/tasks", &[], "{}")).await;
        unanswered += usize::from(response.status() == StatusCode::SERVICE_UNAVAILABLE);
    }
    // Five in a row, and perhaps a later trial on a slow machine.
    assert!((5..=8).contains(&unanswered), "{unanswered}");
    assert_eq!(unanswered, asked.load(Ordering::SeqCst));

    let (mute, asked) = answers_only_probes(&background).await;
    let gateway = background.gateway(commands_at([mute])).await;
    for _ in 0..20 {
        let response = ask(&gateway, request("POST", "/tasks", &[], "{}")).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
    }
    let asked = asked.load(Ordering::SeqCst);
    assert!((5..=8).contains(&asked), "{asked}");
}
