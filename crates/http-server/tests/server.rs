//! The server over real sockets: every wait is limited, and the shutdown is graceful.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::{collections::BTreeSet, time::Duration};

use http_server::{BodyStalled, ServerOptions, bind};
use support::{DEADLINE, SHORT, Server, get_of, short};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

#[tokio::test]
async fn keeps_connections_alive_and_tells_handlers_their_peer() {
    let server = Server::start(ServerOptions::default()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(get_of("/")).await;
        assert_eq!(client.answer().await, (200, "hello".to_owned()));
    }
    client.send(get_of("/peer")).await;
    assert_eq!(client.answer().await.1, client.0.local_addr().unwrap().to_string());
}

#[tokio::test]
async fn connections_are_spread_over_the_workers_and_each_stays_with_its_own() {
    let server = Server::start(ServerOptions::default()).await;
    let count = std::thread::available_parallelism().unwrap().get();
    let (mut clients, mut workers) = (Vec::new(), BTreeSet::new());
    for _ in 0..count {
        let mut client = server.connect().await;
        client.send(get_of("/thread")).await;
        let (_, worker) = client.answer().await;
        client.send(get_of("/thread")).await;
        assert_eq!(client.answer().await.1, worker);
        assert!(worker.starts_with("worker "), "{worker}");
        workers.insert(worker);
        clients.push(client);
    }
    assert_eq!(workers.len(), count);
}

#[tokio::test]
async fn a_connection_that_never_asks_is_closed() {
    let server = Server::start(ServerOptions { header_timeout: SHORT, ..ServerOptions::default() }).await;
    assert_eq!(server.connect().await.rest().await, "");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let options = ServerOptions { header_timeout: SHORT, ..ServerOptions::default() };
    let server = Server::start(options).await;
    // The second request of a connection, whose idle time is long.
    let mut client = server.connect().await;
    client.send(get_of("/")).await;
    client.answer().await;
    let (mut read, mut write) = client.0.into_split();
    let started = Instant::now();
    let trickle = tokio::spawn(async move {
        for byte in get_of("/")
            .bytes()
            .cycle()
            .take_while(|byte| *byte != b'\r')
            .chain(std::iter::repeat_n(b'x', 1000))
        {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = vec![0; 12];
    timeout(DEADLINE, read.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert!(started.elapsed() >= SHORT);
    trickle.abort();
}

#[tokio::test]
async fn an_idle_connection_is_closed_later_than_a_slow_head() {
    let options =
        ServerOptions { header_timeout: SHORT, idle_timeout: SHORT * 4, ..ServerOptions::default() };
    let server = Server::start(options).await;
    let mut client = server.connect().await;
    client.send(get_of("/")).await;
    client.answer().await;
    let started = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(started.elapsed() >= SHORT * 3, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_handler_may_take_longer_than_any_wait_for_the_client() {
    let server = Server::start(short()).await;
    let mut client = server.client_at_gate(get_of("/gate")).await;
    tokio::time::sleep(SHORT * 3).await;
    server.gate.notify_one();
    assert_eq!(client.answer().await, (200, "through".to_owned()));
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let server = Server::start(short()).await;
    let mut client = server.connect().await;
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{").await;
    let (status, body) = client.answer().await;
    assert_eq!(status, 408);
    assert!(body.contains("request-timeout"), "{body}");
    assert!(!BodyStalled.to_string().is_empty());
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_body_that_trickles_in_is_given_up() {
    let options = ServerOptions {
        stall_timeout: Duration::from_secs(5),
        body_timeout: SHORT,
        ..ServerOptions::default()
    };
    let server = Server::start(options).await;
    let mut client = server.connect().await;
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n").await;
    let (mut read, mut write) = client.0.into_split();
    let trickle = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = vec![0; 12];
    timeout(DEADLINE, read.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    trickle.abort();
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    let options = ServerOptions {
        // Otherwise the answer would be refused for its size.
        max_bytes: usize::MAX,
        ..short()
    };
    let server = Server::start(options).await;
    let mut client = server.connect().await;
    client.send(get_of("/endless")).await;
    client.until("\r\n\r\n").await;
    // While the client does not read, the server fills the buffers between them, waits, and then gives up.
    server.stop.cancel();
    timeout(Duration::from_secs(8), server.task)
        .await
        .expect("the server does not wait for its grace")
        .unwrap();
}

#[tokio::test]
async fn an_answer_that_is_taken_in_trickles_is_given_up() {
    let options = ServerOptions {
        answer_timeout: SHORT,
        stall_timeout: DEADLINE * 3,
        grace: DEADLINE * 3,
        // Otherwise the answer would be refused for its size.
        max_bytes: usize::MAX,
        ..ServerOptions::default()
    };
    let server = Server::start(options).await;
    let mut client = server.connect().await;
    client.send(get_of("/endless")).await;
    client.until("\r\n\r\n").await;
    // Each piece is taken long before the server would give up, and all of them would take longer than this test.
    let trickle = tokio::spawn(async move {
        let mut piece = [0; 8 * 1024];
        while client.0.read(&mut piece).await.is_ok_and(|length| length > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    server.stop.cancel();
    timeout(DEADLINE, server.task).await.expect("the server does not wait for its grace").unwrap();
    trickle.abort();
}

#[tokio::test]
async fn a_body_that_ends_early_is_malformed() {
    let server = Server::start(ServerOptions::default()).await;
    let mut client = server.connect().await;
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}").await;
    client.0.shutdown().await.unwrap();
    // The client may be gone; the test is that the server still works.
    let _ = client.rest().await;
    let mut client = server.connect().await;
    client.send(get_of("/")).await;
    assert_eq!(client.answer().await.0, 200);
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_still_gets_to_see_why() {
    let server = Server::start(ServerOptions::default()).await;
    for head in ["Content-Length: 50000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2faf080\r\n"] {
        let client = server.connect().await;
        let (mut read, mut write) = client.0.into_split();
        let head = format!("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n{head}");
        write.write_all(head.as_bytes()).await.unwrap();
        let flood = tokio::spawn(async move {
            for _ in 0..50_000 {
                if write.write_all(&[b' '; 1000]).await.is_err() {
                    return;
                }
            }
        });
        flood.await.unwrap();
        let mut answer = vec![0; 12];
        timeout(DEADLINE, read.read_exact(&mut answer)).await.expect("an answer").unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
    }
}

#[tokio::test]
async fn a_small_body_that_nobody_read_does_not_cost_the_connection() {
    let server = Server::start(ServerOptions::default()).await;
    for framing in ["Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n"] {
        let head = format!("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\n{framing}");
        let mut client = loop {
            let mut client = server.connect().await;
            let begun = Instant::now();
            client.send(&head).await;
            // The answer is ready before the body arrives. The server waits for the body for half a second.
            tokio::time::sleep(Duration::from_millis(50)).await;
            if begun.elapsed() < Duration::from_millis(400) {
                break client;
            }
        };
        let end = if framing.starts_with('C') { "" } else { "\r\n0\r\n\r\n" };
        client.send(format!("hello{end}")).await;
        assert_eq!(client.answer().await.0, 415, "{framing}");
        client.send(get_of("/")).await;
        assert_eq!(client.answer().await, (200, "hello".to_owned()), "{framing}");
    }
}

#[tokio::test]
async fn an_answer_says_when_it_is_the_last_because_of_an_unread_body() {
    let server = Server::start(ServerOptions::default()).await;
    for (body, sent) in [("x".repeat(70_000), 70_000), ("x".repeat(2), 10)] {
        let mut client = server.connect().await;
        client
            .send(format!(
                "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\nContent-Length: {sent}\r\n\r\n{body}"
            ))
            .await;
        let answer = client.rest().await.to_lowercase();
        assert!(answer.starts_with("http/1.1 415 "), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_count() {
    let server = Server::start(ServerOptions::default()).await;
    let mut client = server.connect().await;
    let smuggled = get_of("/peer");
    client
        .send(format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{smuggled}",
            12 + smuggled.len(),
        ))
        .await;
    let answers = client.rest().await;
    // Only the chunks count. A proxy in front may have used the length, so nothing after them is served.
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(answers.starts_with("HTTP/1.1 200 OK") && answers.ends_with("\r\n\r\n2"), "{answers}");
}

#[tokio::test]
async fn stopping_finishes_what_has_begun_and_nothing_else() {
    let server = Server::start(ServerOptions::default()).await;
    let mut idle = server.connect().await;
    idle.send(get_of("/")).await;
    idle.answer().await;
    let mut busy = server.client_at_gate(get_of("/gate")).await;
    server.stop.cancel();
    assert_eq!(idle.rest().await, "", "closed at once");
    assert!(!server.task.is_finished());
    server.gate.notify_one();
    assert_eq!(busy.answer().await, (200, "through".to_owned()));
    timeout(DEADLINE, server.task).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_ends_a_stream_of_events_whole_and_at_once() {
    let server = Server::start(ServerOptions { grace: DEADLINE * 10, ..ServerOptions::default() }).await;
    let mut client = server.connect().await;
    client.send(get_of("/stream/text_event-stream")).await;
    client.until("first\r\n").await;
    server.stop.cancel();
    assert_eq!(client.rest().await, "0\r\n\r\n");
    timeout(DEADLINE, server.task).await.expect("the server ends").unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let server = Server::start(ServerOptions { grace: SHORT, ..ServerOptions::default() }).await;
    let client = server.client_at_gate(get_of("/gate")).await;
    let started = Instant::now();
    server.stop.cancel();
    timeout(DEADLINE, server.task).await.expect("the server ends").unwrap();
    assert!(started.elapsed() >= SHORT);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_sentence() {
    let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let sentence = bind(address).await.unwrap_err().to_string();
    let expected = format!(
        "cannot listen on {address}: the port is in use; stop what uses it, or choose another address"
    );
    assert_eq!(sentence, expected);
}
