//! Heads that are served and heads that are not.

use super::*;

fn refused(head: &str) -> Refusal {
    match look(head.as_bytes(), HeadLimits::OF_CLIENTS) {
        Err(refusal) => {
            let stand_in = stand_in(head.as_bytes());
            assert_eq!(
                look(&stand_in, HeadLimits::OF_CLIENTS),
                Ok(Some((stand_in.len(), Framing::Length(0))))
            );
            refusal
        }
        Ok(other) => panic!("{other:?} for {head}"),
    }
}

#[test]
fn a_host_is_there_once_and_valid() {
    for host in [
        "a",
        "a.b:80",
        "a:",
        "[::1]",
        "[::1]:8080",
        "127.0.0.1:1",
        "xn--a",
        "a%20b",
        "%C3%a9%7E:80",
        "[2001:db8::192.0.2.1]",
        "[v1.a:b]:8080",
        "[VfF.~]",
        "",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            look(head.as_bytes(), HeadLimits::OF_CLIENTS).unwrap(),
            Some((head.len(), Framing::Length(0))),
            "{host}"
        );
    }
    for host in [
        "a b/c@d",
        "a/b",
        "u@h",
        "a:b",
        "[::1",
        "[]",
        "[::1]x",
        "a,b/",
        "é",
        "a:1:2",
        "a?b",
        "%",
        "%zz",
        "a%2",
        "%2x.b",
        "a%%20",
        "a%:80",
        "[zz]",
        "[::1%25eth0]",
        "[1.2.3.4]",
        "[::1::]",
        "[:::1]",
        "[v.a]",
        "[v1.]",
        "[v1]",
        "[vg.a]",
        "[v1.%20]",
        "[a]",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(matches!(refused(&head), Refusal::Malformed(why) if why.starts_with("Host")), "{host}");
    }
    assert!(matches!(refused("GET / HTTP/1.1\r\n\r\n"), Refusal::Malformed(_)));
    assert!(matches!(refused("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"), Refusal::Malformed(_)));
    assert!(look(b"GET / HTTP/1.0\r\n\r\n", HeadLimits::OF_CLIENTS).unwrap().is_some());
}

#[test]
fn bodies_have_one_framing() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let framing = |fields: &str| look(with(fields).as_bytes(), HeadLimits::OF_CLIENTS).unwrap().unwrap().1;
    assert_eq!(framing("Content-Length: 7"), Framing::Length(7));
    assert_eq!(framing("Content-Length: 7\r\nContent-Length: 7"), Framing::Length(7));
    assert_eq!(framing("Transfer-Encoding: Chunked"), Framing::Chunked);
    assert_eq!(framing("Transfer-Encoding: chunked\r\nContent-Length: 7"), Framing::Chunked);
    for coding in ["gzip, chunked", "identity,chunked", "gzip\r\nTransfer-Encoding: chunked"] {
        assert_eq!(refused(&with(&format!("Transfer-Encoding: {coding}"))), Refusal::UnknownCoding);
    }
    for fields in [
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: , chunked",
        "Transfer-Encoding:",
        "Expect: the worst",
        "Expect: 100-continue, x",
        "Content-Length: 7\r\nContent-Length: 8",
        "Content-Length: +7",
        "Content-Length: 7, 7",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
    ] {
        assert!(matches!(refused(&with(fields)), Refusal::Malformed(_)), "{fields}");
    }
}

#[test]
fn sizes_hold_to_the_byte() {
    let head = |length: usize| {
        let fixed = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        fixed.replace("X: ", &format!("X: {}", "x".repeat(length - fixed.len())))
    };
    assert!(look(head(HeadLimits::OF_CLIENTS.bytes).as_bytes(), HeadLimits::OF_CLIENTS).unwrap().is_some());
    assert_eq!(refused(&head(HeadLimits::OF_CLIENTS.bytes + 1)), Refusal::TooLarge);
    let incomplete = head(HeadLimits::OF_CLIENTS.bytes + 10);
    assert!(
        look(&incomplete.as_bytes()[..HeadLimits::OF_CLIENTS.bytes - 1], HeadLimits::OF_CLIENTS)
            .unwrap()
            .is_none()
    );
    assert!(look(&incomplete.as_bytes()[..HeadLimits::OF_CLIENTS.bytes], HeadLimits::OF_CLIENTS).is_err());

    let target = |length: usize| format!("\r\nGET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    assert!(look(target(MAX_TARGET).as_bytes(), HeadLimits::OF_CLIENTS).unwrap().is_some());
    assert_eq!(refused(&target(MAX_TARGET + 1)), Refusal::TargetTooLong);
    assert_eq!(refused(&target(HeadLimits::OF_CLIENTS.bytes * 2)), Refusal::TargetTooLong);
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
    assert!(
        look(fields(HeadLimits::OF_CLIENTS.fields).as_bytes(), HeadLimits::OF_CLIENTS).unwrap().is_some()
    );
    assert_eq!(refused(&fields(HeadLimits::OF_CLIENTS.fields + 1)), Refusal::TooLarge);
}

#[test]
fn what_is_refused_keeps_its_name() {
    let names = "X-Request-Id: mine\r\nUser-Agent: me\r\nOrigin: https://a\r\n";
    let kept =
        "x-request-id: mine\r\nuser-agent: me\r\norigin: https://a\r\nhost: -\r\nconnection: close\r\n\r\n";
    let long = "x".repeat(HeadLimits::OF_CLIENTS.bytes);
    for (head, first_line) in [
        (
            format!("PATCH /tasks?a=b HTTP/1.1\r\n{names}Authorization: x\r\n\r\n"),
            "PATCH /tasks?a=b HTTP/1.1",
        ),
        // Too many fields.
        (
            format!("PUT /tasks HTTP/1.1\r\nHost: a\r\n{names}{}\r\n", "a: b\r\n".repeat(120)),
            "PUT /tasks HTTP/1.1",
        ),
        // Too large, whole and in part.
        (format!("GET /tasks HTTP/1.0\r\n{names}a: {long}\r\n\r\n"), "GET /tasks HTTP/1.0"),
        (format!("GET /tasks HTTP/1.1\r\n{names}a: {long}"), "GET /tasks HTTP/1.1"),
        (format!("GET /{} HTTP/1.1\r\n{names}\r\n", &long[..MAX_TARGET]), "GET / HTTP/1.1"),
        (
            format!("GET /tasks HTTP/1.1\r\n{names}Host : a\r\nUser-Agent: other\r\n\r\n"),
            "GET /tasks HTTP/1.1",
        ),
    ] {
        refused(&head);
        assert_eq!(stand_in(head.as_bytes()), format!("{first_line}\r\n{kept}"));
    }
}

#[test]
fn a_stand_in_stays_small_whatever_is_repeated() {
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "User-Agent: me\r\n".repeat(100));
    refused(&head);
    let stand_in = stand_in(head.as_bytes());
    assert_eq!(
        stand_in,
        "GET / HTTP/1.1\r\nuser-agent: me\r\nuser-agent: me\r\nhost: -\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn what_is_not_http_is_malformed() {
    for head in [
        "GET / HTTP/2.0\r\n",
        "\u{16}\u{3}\u{1}",
        "GET /\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n folded\r\n\r\n",
        "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(matches!(refused(head), Refusal::Malformed(_)), "{head}");
    }
}
