//! Clients that take their answers slowly or not at all.

#![expect(
    clippy::disallowed_methods,
    reason = "tests make ids and start tasks as they like"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use http_server::ServerOptions;
use support::{SHORT, Server, get_of};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn an_answer_takes_its_memory_until_the_client_has_the_end_of_it() {
    let server = Server::start_with_small_buffers(ServerOptions {
        max_bytes: 3 * MIB,
        ..ServerOptions::default()
    });
    let mut slow = server.connect_with_small_buffer().await;
    slow.send(get_of("/megabytes/2")).await;
    slow.until("\r\n\r\n").await;
    // The rest fits into the queue of hyper, which therefore has dropped the body.
    let rest = 100 * 1024;
    assert!(slow.take(2 * MIB - rest).await);
    // By now the server has forgotten the answer, if it does so at all.
    tokio::time::sleep(SHORT).await;
    assert_eq!(server.status("/megabytes/2").await, 503);
    assert!(slow.take(rest).await);
    while server.status("/megabytes/2").await != 200 {}
    // The connection goes on.
    slow.send(get_of("/")).await;
    assert_eq!(slow.answer().await, (200, "hello".to_owned()));
}
