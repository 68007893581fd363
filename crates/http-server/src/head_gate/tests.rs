//! Heads and bodies pass the gate whole and in pieces.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;

const HEAD: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// The bytes that are passed on when `sent` arrives in parts of `size` bytes, up to the next head.
fn handed_on(sent: &[u8], size: usize) -> (Vec<u8>, HeadGate) {
    let mut gate = HeadGate::new(HeadLimits::OF_CLIENTS);
    let mut out = Vec::new();
    for part in sent.chunks(size) {
        if out.is_empty() {
            gate.space().put_slice(part);
            gate.judge();
        } else if gate.limit() > 0 {
            let count = gate.read_past(part);
            out.extend_from_slice(&part[..count]);
        } else {
            gate.space().put_slice(part);
        }
        let mut space = [0; 4096];
        let mut buffer = ReadBuf::new(&mut space);
        while gate.hand_on(&mut buffer) {}
        out.extend_from_slice(buffer.filled());
    }
    (out, gate)
}

#[test]
fn a_request_ends_where_its_body_does() {
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nh\r\n4 \r\nello\r\n0;x\r\na: b\r\nc: d\r\n\r\n",
        "X: y\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{body}");
        let sent = format!("{request}{HEAD}");
        for size in [1, 2, 7, 4096] {
            let (out, mut gate) = handed_on(sent.as_bytes(), size);
            assert_eq!(String::from_utf8(out).unwrap(), request, "in parts of {size}");
            assert!(gate.awaits_head());
            assert_eq!(gate.judge(), None);
            let mut space = [0; 4096];
            let mut buffer = ReadBuf::new(&mut space);
            assert!(gate.hand_on(&mut buffer));
            assert_eq!(buffer.filled(), HEAD.as_bytes());
        }
    }
}

#[test]
fn malformed_chunks_go_on_to_hyper() {
    for chunks in ["x\r\n", "5\r\nhelloX", "fffffffffffffffff\r\n", "\r\n"] {
        let sent = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{HEAD}");
        let (out, _) = handed_on(sent.as_bytes(), 4096);
        assert_eq!(out, sent.as_bytes());
    }
}

/// How much memory the gate holds at most while `sent` arrives, each time as much as is read at once.
fn most_held(sent: &[u8]) -> usize {
    let mut gate = HeadGate::new(HeadLimits::OF_CLIENTS);
    let (mut rest, mut most) = (sent, 0);
    while !rest.is_empty() && !gate.is_closed() {
        gate.judge();
        if gate.awaits_head() {
            let mut space = gate.space();
            let (part, later) = rest.split_at(space.remaining_mut().min(rest.len()));
            space.put_slice(part);
            rest = later;
        } else if gate.passed == 0 {
            rest = &rest[gate.limit().min(rest.len())..];
        }
        most = most.max(gate.held.capacity());
        let mut space = [0; 4096];
        gate.hand_on(&mut ReadBuf::new(&mut space));
    }
    most
}

#[test]
fn empty_lines_before_a_head_are_not_kept_and_few_are_taken() {
    for line in ["\r\n", "\n"] {
        for (count, is_taken) in [(1, true), (MAX_EMPTY_LINES, true), (MAX_EMPTY_LINES + 1, false)] {
            let mut gate = HeadGate::new(HeadLimits::OF_CLIENTS);
            let lines = line.repeat(count);
            gate.space().put_slice(lines.as_bytes());
            assert_eq!(gate.judge().is_none(), is_taken, "{count} of {line:?}");
            assert!(!is_taken || (!gate.has_begun() && gate.held.is_empty()));
        }
        // They may come one by one, and before each request.
        let mut gate = HeadGate::new(HeadLimits::OF_CLIENTS);
        for _ in 0..2 {
            for byte in [&*line.repeat(MAX_EMPTY_LINES), HEAD].concat().bytes() {
                gate.space().put_u8(byte);
                assert_eq!(gate.judge(), None);
            }
            let mut space = [0; 4096];
            let mut buffer = ReadBuf::new(&mut space);
            assert!(gate.hand_on(&mut buffer));
            assert_eq!(buffer.filled(), HEAD.as_bytes());
        }
    }
}

/// Where hyper finds the end of the body `chunks`, if it takes all of it. What comes behind is not read.
async fn end_for_hyper(chunks: &[u8]) -> Option<usize> {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(&[head.as_bytes(), chunks].concat()).await.ok()?;
    client.shutdown().await.ok()?;
    let is_whole = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        let reading = request.into_body().collect();
        Box::pin(reading.map(|body| {
            is_whole.store(body.is_ok(), Ordering::Relaxed);
            Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new()))
        }))
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let rest = connection.into_parts().read_buf;
    (ended.is_ok() && is_whole.into_inner()).then(|| chunks.len() - rest.len())
}

/// Where the gate finds it.
fn end_for_the_gate(chunks: &[u8]) -> Option<usize> {
    let mut gate = Chunks::new();
    let count = gate.scan(chunks)?;
    (gate.place == Place::End).then_some(count)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5_000) })]

    /// Else hyper would get to see a head that nobody has judged. Trailers that are none are refused by hyper alone.
    #[test]
    fn hyper_finds_no_end_that_the_gate_does_not_find(
        begin in "(|2\r\nab\r\n|2;a=b \r\nab\r\n|2 \t\r\nab\r\n)(|0\r\n|0\r\na: b\r\n|0 ;\r\n)",
        parts in prop::collection::vec(
            prop::sample::select(vec!["0", "1", "a", ";", " ", ":", "\r", "\n", "\r\n", "0\r\n", "\r\n\r\n", "x: y\r\n", "x: y\n"]),
            0..8,
        ),
    ) {
        let chunks = [&*begin, &*parts.concat(), HEAD].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let of_hyper = runtime.block_on(end_for_hyper(chunks.as_bytes()));
        if of_hyper.is_some() {
            prop_assert_eq!(of_hyper, end_for_the_gate(chunks.as_bytes()), "{:?}", chunks);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// The buffer doubles when it grows.
    #[test]
    fn whatever_comes_takes_little_memory(
        parts in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "\r\n", "\n", "\r", " ", "a", "a: b\r\n", "a: ", "\0", "GET / HTTP/1.1\r\n", "GET /", HEAD,
                    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "0\r\n\r\n",
                ]),
                prop::sample::select(vec![1, 2, 1_000, 300_000]),
            ),
            1..5,
        ),
    ) {
        let sent: Vec<u8> = parts
            .iter()
            .flat_map(|(part, count)| part.repeat(600_000.min(part.len() * count) / part.len()).into_bytes())
            .collect();
        prop_assert!(most_held(&sent) <= 2 * (HeadLimits::OF_CLIENTS.bytes + HEAD_READ), "{:?}", parts);
    }
}

#[test]
fn a_lone_line_feed_ends_no_body() {
    for chunks in ["0\r\n\n", "0\n\r\n", "0\r\na: b\n\r\n", "1\r\na\n0\r\n\r\n"] {
        assert_eq!(end_for_the_gate(chunks.as_bytes()), None, "{chunks:?}");
    }
}

#[test]
fn after_a_refusal_comes_nothing() {
    let mut gate = HeadGate::new(HeadLimits::OF_CLIENTS);
    gate.space().put_slice(b"GET / HTTP/1.1\r\n\r\n");
    assert!(matches!(gate.judge(), Some(Refusal::Malformed(_))));
    assert!(!gate.is_closed());
    let mut space = [0; 4096];
    let mut buffer = ReadBuf::new(&mut space);
    assert!(gate.hand_on(&mut buffer) && !gate.hand_on(&mut buffer));
    assert!(gate.is_closed() && gate.limit() == 0);
}
