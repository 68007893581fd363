//! A server at its limits: it refuses further work early, and continues with the rest.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::time::Duration;

use http_server::{Pressure, ServerOptions};
use support::{Client, DEADLINE, Server, get_of};

/// Longer than a server waits for the small rest of a refused body.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that has asked once and now waits.
async fn idle(server: &Server) -> Client {
    let mut client = server.connect().await;
    client.send(get_of("/")).await;
    assert_eq!(client.answer().await.0, 200);
    client
}

#[tokio::test]
async fn one_connection_more_than_allowed_closes_the_one_that_has_waited_longest() {
    let server = Server::start(ServerOptions { max_connections: 2, ..ServerOptions::default() }).await;
    let first = idle(&server).await;
    let mut second = idle(&server).await;
    let mut third = idle(&server).await;
    assert_eq!(first.rest().await, "");
    for client in [&mut second, &mut third] {
        client.send(get_of("/")).await;
        assert_eq!(client.answer().await.0, 200);
    }
}

#[tokio::test]
async fn whoever_finds_everybody_being_served_is_told_to_come_again() {
    let server = Server::start(ServerOptions { max_connections: 1, ..ServerOptions::default() }).await;
    let mut busy = server.client_at_gate(get_of("/gate")).await;
    let mut late = server.connect().await;
    late.send(get_of("/")).await;
    let answer = late.rest().await.to_lowercase();
    for part in [
        "http/1.1 503 ",
        "\r\nretry-after: 1",
        "\r\nconnection: close",
        "\r\nx-request-id: ",
        "\"code\":\"overloaded\"",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    // A connection that sends nothing is closed soon.
    assert_eq!(server.connect().await.rest().await, "");
    server.gate.notify_one();
    assert_eq!(busy.answer().await, (200, "through".to_owned()));
    drop(busy);
}

#[tokio::test]
async fn a_request_that_arrives_while_its_place_is_given_away_is_answered() {
    for _ in 0..20 {
        let server = Server::start(ServerOptions { max_connections: 1, ..ServerOptions::default() }).await;
        let mut first = idle(&server).await;
        first.send(get_of("/")).await;
        let _second = server.connect().await;
        assert_eq!(first.answer().await.0, 200);
    }
}

#[tokio::test]
async fn one_address_has_its_own_bound() {
    let server =
        Server::start(ServerOptions { max_connections_per_address: 1, ..ServerOptions::default() }).await;
    let first = idle(&server).await;
    let _second = idle(&server).await;
    assert_eq!(first.rest().await, "");
}

#[tokio::test]
async fn more_requests_than_allowed_are_refused_on_a_connection_that_goes_on() {
    let server = Server::start(ServerOptions { max_requests: 1, ..ServerOptions::default() }).await;
    let mut busy = server.client_at_gate(get_of("/gate")).await;
    let mut other = server.connect().await;
    for _ in 0..3 {
        other.send(get_of("/")).await;
        assert_eq!(other.answer().await.0, 503);
    }
    server.gate.notify_one();
    assert_eq!(busy.answer().await.0, 200);
    let mut answer = 503;
    while answer == 503 {
        other.send(get_of("/")).await;
        answer = other.answer().await.0;
    }
    assert_eq!(answer, 200);
}

#[tokio::test]
async fn streams_of_events_leave_half_of_the_places_to_other_requests() {
    let server = Server::start(ServerOptions { max_requests: 4, ..ServerOptions::default() }).await;
    let stream = async || {
        let mut client = server.connect().await;
        client.send(get_of("/stream/text_event-stream")).await;
        let mut head = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut client.0, &mut head).await.unwrap();
        (client, head.ends_with(b"200"))
    };
    let (first, second, third) = (stream().await, stream().await, stream().await);
    assert_eq!((first.1, second.1, third.1), (true, true, false));
    for path in ["/", "/peer"] {
        assert_eq!(server.status(path).await, 200);
    }
    drop((first, second));
    while !stream().await.1 {}
}

#[tokio::test]
async fn while_memory_is_short_requests_are_refused() {
    let pressure = Pressure::default();
    let server =
        Server::start(ServerOptions { pressure: Some(pressure.clone()), ..ServerOptions::default() }).await;
    for (short, expected) in [(false, 200), (true, 503), (false, 200)] {
        pressure.set(short);
        assert_eq!(server.status("/").await, expected);
    }
}

#[tokio::test]
async fn readers_that_do_not_read_take_no_more_memory_than_allowed() {
    let server = Server::start(ServerOptions {
        max_bytes: 100 * 1024 * 1024,
        // Nothing is cut off for others during this test.
        stall_timeout_under_load: DEADLINE * 3,
        ..ServerOptions::default()
    })
    .await;
    // Each answer has 64 MiB and is not taken: the first one fits.
    let mut slow = server.connect().await;
    slow.send(get_of("/endless")).await;
    slow.0.readable().await.unwrap();
    let mut more = server.connect().await;
    more.send(get_of("/endless")).await;
    let (status_of_more, problem) = more.answer().await;
    assert_eq!(status_of_more, 503);
    assert!(problem.contains("overloaded"), "{problem}");
    for (status, count) in [(200, 1), (503, 1)] {
        let counted = format!(
            "taskledger_http_requests_total{{method=\"GET\",route=\"/endless\",status=\"{status}\",role=\"test\"}} {count}\n"
        );
        let metrics = server.metrics.encode();
        assert!(metrics.contains(&counted), "{counted} in {metrics}");
    }
    assert_eq!(server.status("/").await, 200, "a small answer");
    // The result of a command is always sent.
    let mut command = server.connect().await;
    command.send(get_of("/endless").replace("GET", "POST")).await;
    let mut head = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut command.0, &mut head).await.unwrap();
    assert_eq!(&head[9..], b"200");
    drop((slow, command));
    let mut answer = 503;
    while answer == 503 {
        // Only its head: the server notices that the client has gone.
        let mut again = server.connect().await;
        again.send(get_of("/endless")).await;
        let mut head = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut again.0, &mut head).await.unwrap();
        answer = std::str::from_utf8(&head[9..]).unwrap().parse().unwrap();
    }
    assert_eq!(answer, 200);
}

#[tokio::test]
async fn bodies_that_are_held_back_take_no_more_memory_than_allowed() {
    let server = Server::start(ServerOptions { max_bytes: 100_000, ..ServerOptions::default() }).await;
    let head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n";
    let hold_back = async || {
        let mut client = server.connect().await;
        client.send(head).await;
        client.send(format!("{{\"a\":\"{}", "x".repeat(59_000))).await;
        client
    };
    let first = hold_back().await;
    let answer = tokio::time::timeout(TIMEOUT, first.0.readable()).await;
    assert!(answer.is_err(), "{answer:?}");
    for _ in 0..4 {
        assert_eq!(hold_back().await.answer().await.0, 503);
    }
    assert_eq!(server.status("/").await, 200);
}
