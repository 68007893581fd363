//! Open connections, their memory, and what the limits refuse are shown as metrics of the process. One test, since all
//! servers of a process share them.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use http_server::ServerOptions;
use runtime::encode_process_metrics;
use support::{DEADLINE, SHORT, Server, get_of};
use test_support::until;

const MIB: usize = 1024 * 1024;
const CONNECTIONS: &str = "taskledger_http_connections{role=\"test\"} ";
const BYTES: &str = "taskledger_http_bytes_in_flight{role=\"test\"} ";

/// The value of the series with this name and these labels.
fn value(series: &str) -> usize {
    let page = encode_process_metrics("test");
    let value = page.lines().find_map(|line| line.strip_prefix(series));
    value.expect("there is such a series").parse().unwrap()
}

fn refused(reason: &str) -> usize {
    value(&format!("taskledger_http_connections_refused_total{{reason=\"{reason}\",role=\"test\"}} "))
}

async fn reaches(series: &str, wanted: usize) {
    let what = format!("{series}{wanted}");
    until(&what, DEADLINE, async || value(series) == wanted).await;
}

#[tokio::test]
async fn connections_and_what_is_refused_are_counted() {
    let server = Server::start(ServerOptions { max_connections: 1, ..ServerOptions::default() }).await;
    let mut busy = server.client_at_gate(get_of("/gate")).await;
    for reason in ["total", "address", "displaced", "memory"] {
        assert_eq!(refused(reason), 0, "{reason}");
    }
    assert_eq!(value(CONNECTIONS), 1);
    assert_eq!(server.status("/").await, 503);
    assert_eq!((refused("total"), refused("displaced")), (1, 0));
    server.gate.notify_one();
    assert_eq!(busy.answer().await.0, 200);
    let mut next = server.connect().await;
    next.send(get_of("/")).await;
    assert_eq!(next.answer().await.0, 200);
    assert_eq!((refused("total"), refused("displaced")), (1, 1));
    reaches(CONNECTIONS, 1).await;
    drop(next);
    reaches(CONNECTIONS, 0).await;

    let server =
        Server::start(ServerOptions { max_connections_per_address: 1, ..ServerOptions::default() }).await;
    let mut busy = server.client_at_gate(get_of("/gate")).await;
    assert_eq!(server.status("/").await, 503);
    assert_eq!((refused("total"), refused("address")), (1, 1));
    server.gate.notify_one();
    assert_eq!(busy.answer().await.0, 200);
    drop(busy);

    let server = Server::start(ServerOptions {
        max_bytes: 40 * MIB,
        stall_timeout_under_load: SHORT,
        ..ServerOptions::default()
    })
    .await;
    let mut reader = server.connect().await;
    reader.send(get_of("/megabytes/32")).await;
    reader.until("\r\n\r\n").await;
    assert_eq!(value(BYTES), 32 * MIB);
    assert_eq!(refused("memory"), 0);
    server.until_there_is_room("/megabytes/16").await;
    assert_eq!(refused("memory"), 1);
    reaches(BYTES, 0).await;
}
