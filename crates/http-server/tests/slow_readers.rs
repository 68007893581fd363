//! Clients that take their answers slowly or not at all.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::time::Duration;

use http_server::ServerOptions;
use support::{Client, DEADLINE, SHORT, Server, get_of};
use tokio::time::{Instant, sleep};

const MIB: usize = 1024 * 1024;

/// A client that has the head of an answer, and does not read on.
async fn reader(server: &Server, request: String) -> Client {
    let mut reader = server.connect().await;
    reader.send(request).await;
    reader.until("\r\n\r\n").await;
    reader
}

#[tokio::test]
async fn an_answer_takes_its_memory_until_the_client_has_the_end_of_it() {
    let server = Server::start_with_small_buffers(ServerOptions {
        max_bytes: 3 * MIB,
        // Nothing is cut off during this test.
        stall_timeout_under_load: DEADLINE * 3,
        ..ServerOptions::default()
    });
    let mut slow = server.connect_with_small_buffer().await;
    slow.send(get_of("/megabytes/2")).await;
    slow.until("\r\n\r\n").await;
    // The rest fits into the queue of hyper, which therefore has dropped the body.
    let rest = 100 * 1024;
    assert!(slow.take(2 * MIB - rest).await);
    // By now the server has forgotten the answer, if it does so at all.
    sleep(SHORT).await;
    assert_eq!(server.status("/megabytes/2").await, 503);
    assert!(slow.take(rest).await);
    server.until_there_is_room("/megabytes/2").await;
    // The connection goes on.
    slow.send(get_of("/")).await;
    assert_eq!(slow.answer().await, (200, "hello".to_owned()));
}

#[tokio::test]
async fn readers_that_do_not_read_make_room_for_others() {
    // Before they have waited for long, and afterwards.
    for (patience, makes_room) in [(DEADLINE * 3, false), (SHORT, true)] {
        let server = Server::start(ServerOptions {
            max_bytes: 70 * MIB,
            // They may take their time, unless others need the room.
            stall_timeout: DEADLINE * 3,
            stall_timeout_under_load: patience,
            ..ServerOptions::default()
        })
        .await;
        let mut readers = Vec::new();
        for _ in 0..4 {
            readers.push(reader(&server, get_of("/megabytes/16")).await);
        }
        if makes_room {
            server.until_there_is_room("/megabytes/16").await;
        } else {
            assert_eq!(server.status("/megabytes/16").await, 503);
        }
        // No more of them are cut off than have to be.
        let mut whole = 0;
        for reader in &mut readers {
            whole += usize::from(reader.take(16 * MIB).await);
        }
        assert_eq!(whole, if makes_room { 3 } else { 4 });
    }
}

#[tokio::test]
async fn the_answer_to_a_command_is_not_cut_off_for_others() {
    let server = Server::start(ServerOptions {
        max_bytes: 90 * MIB,
        stall_timeout: DEADLINE * 3,
        stall_timeout_under_load: SHORT,
        ..ServerOptions::default()
    })
    .await;
    // The command has waited for longer, and would be enough for the next one.
    let mut command = reader(&server, get_of("/endless").replace("GET", "POST")).await;
    let mut read = reader(&server, get_of("/megabytes/16")).await;
    server.until_there_is_room("/megabytes/16").await;
    assert!(command.take(64 * MIB).await, "the answer to a command");
    assert!(!read.take(16 * MIB).await, "the answer to a read");
}

#[tokio::test]
async fn an_answer_is_taken_at_a_least_rate_or_given_up() {
    // Much longer than a busy machine delays a client.
    let stall = Duration::from_secs(6);
    let server =
        Server::start_with_small_buffers(ServerOptions { stall_timeout: stall, ..ServerOptions::default() });
    // Takes some bytes each time, every quarter of a second, and then the rest.
    let is_taken = async |piece: usize| {
        let mut reader = server.connect_with_small_buffer().await;
        reader.send(get_of("/megabytes/1")).await;
        reader.until("\r\n\r\n").await;
        let (begun, mut taken) = (Instant::now(), 0);
        while begun.elapsed() < 3 * stall && reader.take(piece).await {
            taken += piece;
            sleep(Duration::from_millis(250)).await;
        }
        reader.take(MIB - taken).await
    };
    // Less than 16 KiB in six seconds, and more.
    let (slow, fast) = tokio::join!(is_taken(200), is_taken(5 * 1024));
    assert_eq!((slow, fast), (false, true));
}
