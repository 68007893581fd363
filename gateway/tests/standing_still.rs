//! Clients and replicas that stop in the middle of a request. Others are not affected by them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::any};
use bytes::Bytes;
use events::ConsistencyToken;
use futures::{StreamExt, future::join_all, stream};
use gateway::Config;
use http::{StatusCode, header};
use http_api::{CONSISTENCY_TOKEN, Health, HttpService, Problem, with_middleware};
use http_server::ServerOptions;
use runtime::Metrics;
use support::{Background, ann, ask, embedded, http, request, text};
use test_support::{eventually, once_within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// A role that reads the body before it answers, and counts the requests.
fn reads_bodies(asked: &Arc<AtomicUsize>) -> HttpService {
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

/// Whether a replica is asked nothing during one of five rounds of numbered reads. Its circuit may be open for only
/// half a second at first, so a slow round meets a trial.
async fn is_left_alone(asked: &AtomicUsize, read: impl AsyncFn(usize)) -> bool {
    for round in 0..5 {
        let before = asked.load(Ordering::SeqCst);
        for number in 0..16 {
            read(16 * round + number).await;
        }
        if asked.load(Ordering::SeqCst) == before {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn clients_that_hold_their_bodies_back_are_told_so_and_take_a_role_from_nobody() {
    let background = Background::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let gateway = background
        .gateway(Config { auth: http([background.serve(reads_bodies(&asked)).await]), ..embedded() })
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
    eventually("all are at the role", async || asked.load(Ordering::SeqCst) >= clients.len()).await;
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
    once_within(Duration::from_secs(5), async || {
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
        eventually("four looks", async || looks.load(Ordering::SeqCst) >= 4).await;
        began.elapsed()
    })
    .await;
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
    let gateway = background.gateway(Config { query_api: http([address]), ..embedded() }).await;
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
    let addresses =
        [background.serve(replica(&still, false)).await, background.serve(replica(&well, true)).await];
    let gateway = background.gateway(Config { query_api: http(addresses), ..embedded() }).await;
    let began = Instant::now();
    let read = async || ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await;
    let reads = join_all((0..16).map(|_| read())).await;
    for response in reads {
        assert_eq!(response.status(), StatusCode::OK);
    }
    let seconds = began.elapsed().as_secs();
    assert!(seconds < 10, "{seconds} s");
    let asked = still.load(Ordering::SeqCst);
    assert!(asked >= 5, "{asked}");
    let read = async |_: usize| assert_eq!(read().await.status(), StatusCode::OK);
    assert!(is_left_alone(&still, read).await, "its circuit is open");
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
    let addresses = [background.serve(replica("one")).await, background.serve(replica("two")).await];
    let gateway = background.gateway(Config { command_api: http(addresses), ..embedded() }).await;
    // All commands of one person go to the same replica first.
    let headers = [("authorization", "Bearer ann.a.b")];
    let delete = async |path| {
        let response = ask(&gateway, request("DELETE", path, &headers, Body::empty())).await;
        assert_eq!(response.status(), StatusCode::OK);
        text(response).await
    };
    let first = delete("/tasks/short").await;
    for other in join_all((0..8).map(|_| delete("/tasks/long"))).await {
        assert_ne!(other, first);
    }
    assert_eq!(delete("/tasks/short").await, first);
}

/// A role that answers no request and is not ready. It counts the requests, and how often its readiness is looked at.
fn answers_nothing(asked: &Arc<AtomicUsize>, looks: &Arc<AtomicUsize>) -> HttpService {
    let (asked, looks) = (Arc::clone(asked), Arc::clone(looks));
    let handler = move || {
        asked.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>()
    };
    let health = Health::new().check("store", move || {
        looks.fetch_add(1, Ordering::SeqCst);
        async { Err("it stands still".to_owned()) }
    });
    let router = Router::new().route("/{*path}", any(handler));
    with_middleware(router, "query-api", &Metrics::new("query-api"), health)
}

#[tokio::test]
async fn a_role_that_stands_still_leaves_places_to_requests_for_the_others() {
    let background = Background::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let gateway = background
        .gateway(Config {
            query_api: gateway::Upstream::InProcess(answers_nothing(&asked, &Arc::default())),
            ..embedded()
        })
        .await;
    let options = ServerOptions { max_requests: 8, ..ServerOptions::default() };
    let address = background.serve_with(gateway, options).await;
    let mut clients = Vec::new();
    let mut refused = 0;
    for _ in 0..6 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /tasks HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let before = asked.load(Ordering::SeqCst);
        let mut head = [0; 12];
        let waits = async {
            while asked.load(Ordering::SeqCst) == before {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = client.read_exact(&mut head) => {
                assert_eq!(&head, b"HTTP/1.1 503");
                refused += 1;
            }
            () = waits => {}
        }
        clients.push(client);
    }
    assert_eq!((asked.load(Ordering::SeqCst), refused), (2, 4));
    let mut client = TcpStream::connect(address).await.unwrap();
    let login = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    client.write_all(login).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_read_does_not_wait_long_for_a_role_of_which_no_replica_is_ready() {
    let background = Background::default();
    let (asked, looks) = (Arc::default(), Arc::default());
    let gateway = background
        .gateway(Config {
            query_api: http([background.serve(answers_nothing(&asked, &looks)).await]),
            ..embedded()
        })
        .await;
    // The answer to the first probe came before the second one.
    while looks.load(Ordering::SeqCst) < 2 {
        sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    let response = ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A role whose answers can be cached. It sends all of the body, or only the first half of it. It counts the requests.
fn answers_to_keep(asked: &Arc<AtomicUsize>, is_whole: bool) -> HttpService {
    let asked = Arc::clone(asked);
    let handler = move || async move {
        asked.fetch_add(1, Ordering::SeqCst);
        let token = ConsistencyToken::new(ann(), 0).to_string();
        let headers = [(CONSISTENCY_TOKEN.clone(), token), (header::CONTENT_LENGTH, "8".to_owned())];
        let half = async || Ok::<_, std::io::Error>(Bytes::from_static(b"half"));
        let rest = match is_whole {
            true => stream::once(half()).boxed(),
            false => stream::pending().boxed(),
        };
        (headers, Body::from_stream(stream::once(half()).chain(rest)))
    };
    let router = Router::new().route("/{*path}", any(handler));
    with_middleware(router, "query-api", &Metrics::new("query-api"), Health::new())
}

#[tokio::test]
async fn a_read_at_a_replica_that_stops_within_its_answer_is_sent_to_another_one() {
    let background = Background::default();
    once_within(Duration::from_secs(4), async || {
        let (stops, well) = (Arc::default(), Arc::default());
        let addresses = [
            background.serve(answers_to_keep(&stops, false)).await,
            background.serve(answers_to_keep(&well, true)).await,
        ];
        let gateway = background.gateway(Config { query_api: http(addresses), ..embedded() }).await;
        let headers = [("authorization", "Bearer ann.x.y")];
        let read = async |path: String| {
            let response = ask(&gateway, request("GET", &path, &headers, Body::empty())).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(text(response).await, "halfhalf");
        };
        let began = Instant::now();
        // Two of each, so that one waits for the request of the other.
        join_all((0..32).map(|number| read(format!("/tasks?limit={}", 1 + number / 2)))).await;
        let took = began.elapsed();
        let asked = stops.load(Ordering::SeqCst);
        assert!(asked >= 5, "{asked}");
        let read = async |number: usize| read(format!("/tasks?limit={}", 50 + number)).await;
        assert!(is_left_alone(&stops, read).await, "its circuit is open");
        took
    })
    .await;
}

#[tokio::test]
async fn a_read_at_the_only_replica_ends_soon_after_the_answer_has_stopped() {
    let background = Background::default();
    let stops = Arc::default();
    let gateway = background
        .gateway(Config {
            query_api: http([background.serve(answers_to_keep(&stops, false)).await]),
            ..embedded()
        })
        .await;
    let headers = [("authorization", "Bearer ann.x.y")];
    once_within(Duration::from_secs(4), async || {
        let began = Instant::now();
        let response = ask(&gateway, request("GET", "/tasks", &headers, Body::empty())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        began.elapsed()
    })
    .await;
}
