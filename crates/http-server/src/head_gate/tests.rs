//! Heads and bodies pass the gate whole and in pieces.

use super::*;

const HEAD: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// The bytes that are passed on when `sent` arrives in parts of `size` bytes, up to the next head.
fn handed_on(sent: &[u8], size: usize) -> (Vec<u8>, HeadGate) {
    let mut gate = HeadGate::new();
    let mut out = Vec::new();
    for part in sent.chunks(size) {
        if out.is_empty() {
            gate.space().extend_from_slice(part);
            gate.judge();
        } else if gate.limit() > 0 {
            let count = gate.read_past(part);
            out.extend_from_slice(&part[..count]);
        } else {
            gate.space().extend_from_slice(part);
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

#[test]
fn after_a_refusal_comes_nothing() {
    let mut gate = HeadGate::new();
    gate.space().extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    assert!(matches!(gate.judge(), Some(Refusal::Malformed(_))));
    assert!(!gate.is_closed());
    let mut space = [0; 4096];
    let mut buffer = ReadBuf::new(&mut space);
    assert!(gate.hand_on(&mut buffer) && !gate.hand_on(&mut buffer));
    assert!(gate.is_closed() && gate.limit() == 0);
}
