//! Disconnecting cancels the answer, not the work. A client that only closes its side still gets an answer.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use http_server::ServerOptions;
use support::{DEADLINE, SHORT, Server, get_of};
use tokio::{sync::watch, time::timeout};

const COMMAND: &str = "POST /gate HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";

async fn reaches(count: &watch::Sender<usize>, wanted: usize) {
    timeout(DEADLINE, count.subscribe().wait_for(|count| *count >= wanted)).await.expect("in time").unwrap();
}

#[tokio::test]
async fn a_command_runs_to_its_end_when_its_client_hangs_up() {
    let server = Server::start(ServerOptions::default()).await;
    for (hung_up, resets) in [false, true].into_iter().enumerate() {
        let mut client = server.client_at_gate(COMMAND).await;
        if resets {
            client.reset();
        }
        drop(client);
        // By now the server has noticed, if it notices at all.
        tokio::time::sleep(SHORT).await;
        assert_eq!(*server.gone.borrow(), hung_up);
        server.gate.notify_one();
        reaches(&server.ended, hung_up + 1).await;
    }
}

#[tokio::test]
async fn stopping_waits_for_commands_whose_clients_have_gone() {
    let server = Server::start(ServerOptions::default()).await;
    let mut client = server.client_at_gate(COMMAND).await;
    client.reset();
    drop(client);
    server.stop.cancel();
    tokio::time::sleep(SHORT).await;
    assert!(!server.task.is_finished());
    server.gate.notify_one();
    timeout(DEADLINE, server.task).await.expect("the server ends").unwrap();
    assert_eq!(*server.ended.borrow(), 1);
}

#[tokio::test]
async fn a_read_ends_when_its_client_hangs_up() {
    let server = Server::start(ServerOptions::default()).await;
    for (hung_up, resets) in [false, true].into_iter().enumerate() {
        let mut client = server.client_at_gate(get_of("/gate")).await;
        if resets {
            client.reset();
        }
        drop(client);
        reaches(&server.gone, hung_up + 1).await;
    }
    assert_eq!(*server.ended.borrow(), 0);
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_answer() {
    let server = Server::start(ServerOptions::default()).await;
    for request in [COMMAND.to_owned(), get_of("/gate"), format!("{COMMAND}{}", get_of("/"))] {
        let mut client = server.connect().await;
        client.send(&request).await;
        client.half_close().await;
        server.begun.notified().await;
        tokio::time::sleep(SHORT).await;
        server.gate.notify_one();
        let answers = client.rest().await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), request.matches("HTTP/1.1").count());
        assert!(answers.contains("through"), "{answers}");
    }
    let mut client = server.connect().await;
    let body = r#"{"a": 1}"#;
    client
        .send(format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    client.half_close().await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200"));
}

/// Which answers end while their next part is awaited, when the client closes (`false`) or resets (`true`) the
/// connection.
#[tokio::test]
async fn an_answer_that_waits_for_its_next_part_ends_when_its_client_hangs_up() {
    let server = Server::start(ServerOptions::default()).await;
    let ways = [("text_event-stream", false), ("text_event-stream", true), ("text_plain", true)];
    for (hung_up, (kind, resets)) in ways.into_iter().enumerate() {
        let mut client = server.connect().await;
        client.send(get_of(&format!("/stream/{kind}"))).await;
        client.until("first").await;
        assert_eq!(*server.gone.borrow(), hung_up);
        if resets {
            client.reset();
        }
        drop(client);
        reaches(&server.gone, hung_up + 1).await;
    }
    // A client that only closes its side may still wait for the rest of a page.
    let mut client = server.connect().await;
    client.send(get_of("/stream/text_plain")).await;
    client.until("first").await;
    client.half_close().await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(*server.gone.borrow(), ways.len());
}
