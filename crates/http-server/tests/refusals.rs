//! Requests that are refused before the router sees them get the same kind of answer as all others.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use http_server::{HeadLimits, ServerOptions};
use proptest::prelude::*;
use serde_json::Value;
use support::{Server, get_of, short};

/// The one answer to `request`, after which the connection ends: its status, head and problem.
async fn refused(server: &Server, request: &[u8]) -> (u16, String, Value) {
    let mut client = server.connect().await;
    client.send(request).await;
    let answer = client.rest().await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let head = head.to_lowercase();
    (head[9..12].parse().unwrap(), head, serde_json::from_str(body).unwrap_or_default())
}

fn assert_whole((status, head, problem): &(u16, String, Value), code: &str) {
    assert!(head.starts_with("http/1.1 ") || head.starts_with("http/1.0 "), "{head}");
    for part in [
        "\r\ncontent-type: application/problem+json",
        "\r\nx-content-type-options: nosniff",
        "\r\ncontent-security-policy: ",
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
    // An HTTP/1.0 answer is the last one unless it says otherwise.
    assert!(head.contains("\r\nconnection: close") || head.starts_with("http/1.0 "));
    let id = head.split("\r\nx-request-id: ").nth(1).expect("a request id");
    assert!(id.starts_with(&problem["request_id"].as_str().unwrap().to_lowercase()));
    assert_eq!((&problem["status"], &problem["code"]), (&(*status).into(), &code.into()));
}

/// A gateway adds fields to a head that is as large as it may be.
#[tokio::test]
async fn a_head_from_a_gateway_may_be_larger() {
    for (limits, more) in [(HeadLimits::OF_CLIENTS, 0), (HeadLimits::OF_GATEWAYS, 16)] {
        let server = Server::start(ServerOptions { head_limits: limits, ..ServerOptions::default() }).await;
        for (fields, status) in [(98 + more, "200"), (99 + more, "431")] {
            let fields: String = (0..fields).map(|number| format!("x-{number}: {number}\r\n")).collect();
            let mut client = server.connect().await;
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
            client.send(head.as_bytes()).await;
            assert_eq!(&client.rest().await[9..12], status, "{limits:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_served_gets_a_problem_with_all_headers() {
    let server = Server::start(ServerOptions::default()).await;
    let host = "Host: a\r\n";
    for (request, status, code) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "bad-request"),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), 400, "bad-request"),
        ("GET / HTTP/1.1\r\nHost: a b/c@d\r\n\r\n".to_owned(), 400, "bad-request"),
        ("GET / HTTP/1.0\r\nHost: a b/c@d\r\n\r\n".to_owned(), 400, "bad-request"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400, "bad-request"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 400, "bad-request"),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), 400, "bad-request"),
        (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(70_000)), 414, "uri-too-long"),
        (format!("GET / HTTP/1.1\r\n{host}{}\r\n", "a: b\r\n".repeat(110)), 431, "headers-too-large"),
        (format!("GET / HTTP/1.1\r\n{host}a: {}\r\n\r\n", "b".repeat(200_000)), 431, "headers-too-large"),
        (
            format!(
                "POST /echo HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
            ),
            501,
            "unknown-transfer-coding",
        ),
        (
            format!("POST /echo HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"),
            400,
            "bad-request",
        ),
        (format!("POST /echo HTTP/1.1\r\n{host}Content-Length: {}\r\n\r\n", u64::MAX), 400, "bad-request"),
        (
            format!("POST /echo HTTP/1.1\r\n{host}Content-Length: {}\r\n\r\n", u64::MAX - 1),
            400,
            "bad-request",
        ),
        (
            format!(
                "POST /echo HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                u64::MAX - 2
            ),
            413,
            "body-too-large",
        ),
        (format!("POST /echo HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n"), 400, "bad-request"),
    ] {
        let answer = refused(&server, request.as_bytes()).await;
        assert_eq!(answer.0, status, "{}", &request[..request.len().min(90)]);
        assert_whole(&answer, code);
    }
}

/// Whatever of a head was read names the request in the answer and in the metrics.
#[tokio::test]
async fn a_refusal_is_counted_and_keeps_the_clients_own_id() {
    let server = Server::start(short()).await;
    let named = |target: &str, rest: &str| {
        format!("DELETE {target} HTTP/1.1\r\nX-Request-Id: mine\r\nHost: a\r\n{rest}")
    };
    for (request, code, status) in [
        (named("/x", "Host: b\r\n\r\n"), "bad-request", 400),
        (named("/x", "A : b\r\n\r\n"), "bad-request", 400),
        (named("/x", "A: b"), "request-timeout", 408),
        (named(&format!("/{}", "x".repeat(10_000)), "\r\n"), "uri-too-long", 414),
        (named("/x", &format!("{}\r\n", "a: b\r\n".repeat(110))), "headers-too-large", 431),
        (named("/x", &format!("a: {}\r\n\r\n", "b".repeat(70_000))), "headers-too-large", 431),
    ] {
        let answer = refused(&server, request.as_bytes()).await;
        assert_whole(&answer, code);
        assert_eq!(answer.2["request_id"], "mine", "{code}");
        let counted = format!(
            r#"taskledger_http_requests_total{{method="DELETE",route="unmatched",status="{status}",role="test"}}"#
        );
        let metrics = server.metrics.encode();
        assert!(metrics.contains(&counted), "{metrics}");
    }
}

#[tokio::test]
async fn a_client_that_sends_empty_lines_only_is_refused() {
    let server = Server::start(ServerOptions::default()).await;
    let lines = "\r\n".repeat(512 * 1024);
    assert_whole(&refused(&server, lines.as_bytes()).await, "bad-request");
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(format!("\r\n\r\n{}", get_of("/"))).await;
        assert_eq!(client.answer().await, (200, "hello".to_owned()));
    }
}

#[tokio::test]
async fn repeated_fields_do_not_make_an_answer_bare() {
    let server = Server::start(ServerOptions::default()).await;
    let request = format!("GET / HTTP/1.1\r\n{}\r\n", "User-Agent: me\r\n".repeat(100));
    assert_whole(&refused(&server, request.as_bytes()).await, "bad-request");
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_a_request_timeout() {
    let server = Server::start(short()).await;
    assert_whole(&refused(&server, b"GET / HTT").await, "request-timeout");
}

#[tokio::test]
async fn without_a_host_only_http_1_0_is_served() {
    let server = Server::start(ServerOptions::default()).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await, (200, "hello".to_owned()));
}

#[tokio::test]
async fn a_bad_head_behind_good_requests_is_answered_in_its_turn() {
    let server = Server::start(ServerOptions::default()).await;
    for framing in ["Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"] {
        let good = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{framing}");
        let mut client = server.connect().await;
        client.send(format!("{good}{good}{}GET / HTTP/1.1\r\n\r\n{good}", get_of("/"))).await;
        for expected in ["2", "2", "hello"] {
            assert_eq!(client.answer().await, (200, expected.to_owned()), "{framing}");
        }
        let (status, body) = client.answer().await;
        assert_eq!(status, 400);
        assert!(body.contains("Host: must be sent"), "{body}");
        assert_eq!(client.rest().await, "");
    }
}

#[tokio::test]
async fn nobody_is_told_to_go_on_with_a_body_that_is_not_wanted() {
    let server = Server::start(ServerOptions::default()).await;
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
    for (rest, status) in [
        ("Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n", 415),
        ("Content-Type: application/json\r\nContent-Length: 70000\r\n\r\n", 413),
    ] {
        let (found, ..) = refused(&server, format!("{head}{rest}").as_bytes()).await;
        assert_eq!(found, status);
    }
    let mut client = server.connect().await;
    client.send(format!("{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n")).await;
    client.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("{}").await;
    assert_eq!(client.answer().await, (200, "2".to_owned()));
}

/// Lines of requests, and bytes that break them.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "GET /echo HTTP/1.0",
        "POST /echo HTTP/1.1",
        "PUT / HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "GET  / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "GET /\u{e9}? HTTP/1.1",
    ]);
    let field = prop::sample::select(vec![
        "Host: a",
        "Host: a",
        "Host: a",
        "Host: [::1]:1",
        "Host:",
        "Content-Length: 0",
        "Content-Length: 2",
        "Content-Length: x",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: x",
        "Expect: 100-continue",
        "Connection: upgrade, close",
        "Upgrade: h2c",
        "X:",
        "X : y",
        " folded",
        "X: \u{7f}",
        "\u{0}",
        "X-Request-Id: a b",
        "Connection: keep-alive",
        "TE: trailers",
        "Trailer: x",
    ]);
    (line, prop::collection::vec(field, 0..6), prop::sample::select(vec!["\r\n", "\n"]), any::<u8>())
        .prop_map(|(line, fields, end, spoil)| {
            let mut lines = vec![line];
            lines.extend(fields);
            let mut head = lines.join(end).into_bytes();
            head.extend_from_slice(format!("{end}{end}").as_bytes());
            if spoil < 64 {
                let at = usize::from(spoil) * head.len() / 64;
                head[at] = spoil.wrapping_mul(37);
            }
            head
        })
}

/// For any input, no answer comes from hyper itself.
#[test]
fn no_answer_is_bare() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(short()));
    proptest!(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }, |(head in head())| {
        let answer = runtime.block_on(async {
            let mut client = server.connect().await;
            client.send(&head).await;
            client.half_close().await;
            client.rest().await
        });
        let finals = answer.split("HTTP/1.").filter(|rest| rest.as_bytes().get(2).is_some_and(|d| matches!(d, b'2'..=b'5')));
        let heads = finals.count();
        prop_assert!(heads >= 1, "no answer");
        prop_assert_eq!(answer.matches("x-request-id: ").count(), heads, "{}\n{}", String::from_utf8_lossy(&head), answer);
    });
}
