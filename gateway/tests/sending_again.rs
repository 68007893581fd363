//! Requests that the gateway sends again to another replica, and those that could take effect twice.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::sync::{Arc, Mutex};

use gateway::{Config, Upstream};
use http::StatusCode;
use support::{Background, ask, embedded, http, request};
use tokio::{io::AsyncReadExt, net::TcpListener};

/// Two replicas of the command API that read a request and drop the connection, and the requests that they got.
async fn two_that_hang_up(background: &Background) -> (Upstream, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        let seen = Arc::clone(&seen);
        background.0.spawn_until_stopped("server", async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = String::new();
                while !is_whole(&request) {
                    let mut part = [0; 1024];
                    let count = stream.read(&mut part).await.unwrap();
                    request.push_str(std::str::from_utf8(&part[..count]).unwrap());
                }
                if !request.starts_with("GET /health/ready") {
                    seen.lock().unwrap().push(request);
                }
            }
        });
    }
    (http(addresses), seen)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    body.len() == length
}

#[tokio::test]
async fn nothing_is_sent_again_that_could_take_effect_twice() {
    let background = Background::default();
    let key = ("idempotency-key", "k");
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Headers<'_>, &str, usize); 10] = [
        ("POST", "/tasks/1/start", &[], "", 1),
        ("POST", "/tasks", &[], "{}", 1),
        ("PATCH", "/tasks/1", &[], "{}", 1),
        ("DELETE", "/tasks/1", &[], "", 2),
        ("DELETE", "/tasks/1", &[("if-match", "\"1\"")], "", 1),
        ("DELETE", "/tasks/1", &[("if-none-match", "\"1\"")], "", 1),
        ("DELETE", "/tasks/1", &[("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")], "", 1),
        ("DELETE", "/tasks/1", &[("if-match", "\"1\""), key], "", 2),
        ("POST", "/tasks/1/start", &[key], "", 2),
        ("POST", "/tasks", &[key], "{\"title\":\"a\"}", 2),
    ];
    for (method, path, headers, body, times) in cases {
        let (upstream, seen) = two_that_hang_up(&background).await;
        let gateway = background.gateway(Config { command_api: upstream, ..embedded() }).await;
        let response = ask(&gateway, request(method, path, headers, body.to_owned())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let sent = seen.lock().unwrap();
        assert_eq!(sent.len(), times, "{method} {path} {headers:?}");
        assert!(sent.iter().all(|request| request.ends_with(body)), "{sent:?}");
    }
}

#[tokio::test]
async fn a_key_makes_nothing_repeatable_that_the_role_does_not_know() {
    let background = Background::default();
    let (upstream, seen) = two_that_hang_up(&background).await;
    let gateway = background.gateway(Config { auth: upstream, ..embedded() }).await;
    let login = request("POST", "/auth/login", &[("idempotency-key", "k")], "{}");
    assert_eq!(ask(&gateway, login).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.lock().unwrap().len(), 1);
}
