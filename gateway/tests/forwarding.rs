//! Which role answers which request, and the forwarding of requests and answers. Each test uses both kinds of
//! backend: roles in this process, and roles at addresses.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request},
    routing::any,
};
use futures::{StreamExt, channel::mpsc};
use http::{StatusCode, header};
use http_api::{Health, HttpService, JsonObject, with_middleware};
use http_server::ServerOptions;
use runtime::Metrics;
use support::{Background, DEADLINE, ask, embedded, http, json_of, request, text, told};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

async fn both() -> (Background, [HttpService; 2]) {
    let background = Background::default();
    let gateways = [background.embedded().await, background.distributed().await];
    (background, gateways)
}

#[tokio::test]
async fn every_public_path_reaches_its_role() {
    let (_background, gateways) = both().await;
    let id = "0197f000-0000-7000-8000-000000000001";
    let routes = [
        ("POST", "/auth/register".to_owned(), "auth"),
        ("POST", "/auth/login".to_owned(), "auth"),
        ("POST", "/auth/refresh".to_owned(), "auth"),
        ("POST", "/auth/logout".to_owned(), "auth"),
        ("POST", "/auth/logout-all".to_owned(), "auth"),
        ("GET", "/auth/me".to_owned(), "auth"),
        ("PATCH", "/auth/me".to_owned(), "auth"),
        ("DELETE", "/auth/me".to_owned(), "auth"),
        ("POST", "/auth/me/password".to_owned(), "auth"),
        ("GET", "/auth/sessions".to_owned(), "auth"),
        ("DELETE", format!("/auth/sessions/{id}"), "auth"),
        ("GET", "/auth/users?role=admin&limit=5".to_owned(), "auth"),
        ("PUT", format!("/auth/users/{id}/roles"), "auth"),
        ("POST", format!("/auth/users/{id}/disable"), "auth"),
        ("POST", format!("/auth/users/{id}/enable"), "auth"),
        ("GET", "/.well-known/jwks.json".to_owned(), "auth"),
        ("GET", "/tasks?q=a%20b&tag=x".to_owned(), "query-api"),
        ("POST", "/tasks".to_owned(), "command-api"),
        ("POST", "/tasks/batch".to_owned(), "command-api"),
        ("GET", format!("/tasks/{id}"), "query-api"),
        ("PATCH", format!("/tasks/{id}"), "command-api"),
        ("DELETE", format!("/tasks/{id}"), "command-api"),
        ("POST", format!("/tasks/{id}/start"), "command-api"),
        ("POST", format!("/tasks/{id}/complete"), "command-api"),
        ("POST", format!("/tasks/{id}/cancel"), "command-api"),
        ("POST", format!("/tasks/{id}/reopen"), "command-api"),
        ("POST", format!("/tasks/{id}/restore"), "command-api"),
    ];
    for gateway in &gateways {
        for (method, path, role) in &routes {
            let told = told(gateway, method, path, &[]).await;
            assert_eq!(
                (told["role"].as_str(), told["method"].as_str()),
                (Some(*role), Some(*method)),
                "{path}"
            );
            assert_eq!(told["path"], *path, "unchanged");
        }
        let head = ask(gateway, request("HEAD", "/tasks", &[], Body::empty())).await;
        assert_eq!(head.status(), StatusCode::OK);
        assert!(text(head).await.is_empty());
    }
}

#[tokio::test]
async fn unknown_paths_are_not_forwarded() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        for path in [
            "/",
            "/task",
            "/tasks/",
            "/tasks/x/y",
            "/auth",
            "/auth/",
            "/auth/nothing",
            "/audit",
            "/audits",
            "/tasks/1/past",
            "//tasks",
            "/tasks/../auth/me",
        ] {
            let response = ask(gateway, request("GET", path, &[], Body::empty())).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(json_of(response).await["code"], "not-found");
        }
    }
}

#[tokio::test]
async fn what_needs_no_encoding_may_be_encoded_in_a_path_and_nothing_else_changes_the_route() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        for (path, role, reaches) in [
            ("/%74asks?q=%74", "query-api", "/tasks?q=%74"),
            ("/tasks/%73ummary", "query-api", "/tasks/summary"),
            ("/%2Ewell-known/jwks%2ejson", "auth", "/.well-known/jwks.json"),
            ("/tasks/%7e%2D%5F", "query-api", "/tasks/~-_"),
            ("/tasks/%2F", "query-api", "/tasks/%2F"),
            ("/tasks/%2e%2e", "query-api", "/tasks/%2e%2e"),
            ("/tasks/%00", "query-api", "/tasks/%00"),
            ("/tasks/%2573ummary", "query-api", "/tasks/%2573ummary"),
        ] {
            let told = told(gateway, "GET", path, &[]).await;
            assert_eq!((&told["role"], &told["path"]), (&role.into(), &reaches.into()), "{path}");
        }
        for path in [
            "/tasks%2Fsummary",
            "/tasks/%2e%2e/auth/me",
            "/%2e/tasks",
            "/tasks%00",
            "/%2574asks",
            "/tasks%2e",
        ] {
            let response = ask(gateway, request("GET", path, &[], Body::empty())).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_on_a_path_of_two_roles_names_the_methods_of_both() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        for (method, path, allow) in [
            ("PUT", "/tasks", "GET, HEAD, POST"),
            ("DELETE", "/tasks", "GET, HEAD, POST"),
            ("OPTIONS", "/tasks", "GET, HEAD, POST"),
            ("PUT", "/tasks/1", "DELETE, GET, HEAD, PATCH"),
            ("POST", "/tasks/1", "DELETE, GET, HEAD, PATCH"),
        ] {
            let response = ask(gateway, request(method, path, &[], Body::empty())).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(response.headers()[header::ALLOW], allow);
            assert_eq!(json_of(response).await["code"], "method-not-allowed");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_on_a_path_of_one_role_is_that_roles_answer() {
    let background = Background::default();
    let commands = Router::new().route("/tasks/{id}/start", axum::routing::post(|| async {}));
    let commands = with_middleware(commands, "command-api", &Metrics::new("command-api"), Health::new());
    for upstream in [gateway::Upstream::InProcess(commands.clone()), http([background.serve(commands).await])]
    {
        let gateway = background.gateway(gateway::Config { command_api: upstream, ..embedded() }).await;
        let response = ask(&gateway, request("GET", "/tasks/1/start", &[], Body::empty())).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "POST");
    }
}

#[tokio::test]
async fn headers_of_one_hop_and_claims_about_the_client_end_here() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        let mut asked = request(
            "POST",
            "/tasks",
            &[
                ("connection", "keep-alive, x-secret"),
                ("x-secret", "1"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("proxy-authorization", "Basic abc"),
                ("x-forwarded-for", "1.2.3.4, 5.6.7.8"),
                ("forwarded", "for=1.2.3.4"),
                ("x-real-ip", "1.2.3.4"),
                ("accept-language", "de"),
                ("idempotency-key", "k1"),
            ],
            "body",
        );
        asked
            .extensions_mut()
            .insert(ConnectInfo::<std::net::SocketAddr>("[::ffff:192.0.2.9]:1234".parse().unwrap()));
        let response = ask(gateway, asked).await;
        for gone in ["connection", "x-internal", "keep-alive", "server"] {
            assert!(!response.headers().contains_key(gone), "{gone}: {:?}", response.headers());
        }
        assert_eq!(response.headers()[header::ETAG], "\"1\"");
        assert_eq!(response.headers().get_all("x-request-id").iter().count(), 1);
        let told = json_of(response).await;
        let headers = told["headers"].as_object().unwrap();
        for gone in
            ["connection", "x-secret", "te", "upgrade", "proxy-authorization", "forwarded", "x-real-ip"]
        {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["x-forwarded-for"], "192.0.2.9");
        assert_eq!((&headers["accept-language"], &headers["idempotency-key"]), (&"de".into(), &"k1".into()));
        assert_eq!(told["body"], "body");
    }
}

#[tokio::test]
async fn request_ids_and_trace_context_travel_on() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        let sent = [("x-request-id", "mine-1"), ("traceparent", TRACE), ("tracestate", "a=1")];
        let response = ask(gateway, request("GET", "/tasks", &sent, Body::empty())).await;
        assert_eq!(response.headers()["x-request-id"], "mine-1");
        let told = json_of(response).await;
        for (name, value) in sent {
            assert_eq!(told["headers"][name], value);
        }
        let response =
            ask(gateway, request("GET", "/tasks", &[("x-request-id", "not one")], Body::empty())).await;
        let made = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        uuid::Uuid::parse_str(&made).unwrap();
        let told = json_of(response).await;
        assert_eq!(told["headers"]["x-request-id"], made);
        assert_eq!(told["headers"]["traceparent"].as_str().unwrap().len(), TRACE.len());
    }
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    // Sends back each part as it arrives.
    let echo = Router::new().route("/{*path}", any(|request: Request| async move { request.into_body() }));
    let background = Background::default();
    for upstream in [gateway::Upstream::InProcess(echo.clone().into()), http([background.serve(echo).await])]
    {
        let gateway = background.gateway(gateway::Config { command_api: upstream, ..embedded() }).await;
        let (parts, body) = mpsc::unbounded::<Result<Bytes, std::io::Error>>();
        let asked = request("POST", "/tasks/batch", &[], Body::from_stream(body));
        let mut answer = ask(&gateway, asked).await.into_body().into_data_stream();
        for part in ["one", "two", "three"] {
            parts.unbounded_send(Ok(Bytes::from_static(part.as_bytes()))).unwrap();
            let back = timeout(DEADLINE, answer.next())
                .await
                .expect("the part comes back while the rest is awaited");
            assert_eq!(back.unwrap().unwrap(), part);
        }
        drop(parts);
        assert!(timeout(DEADLINE, answer.next()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let background = Background::default();
    for here in [true, false] {
        let (parts, body) = mpsc::unbounded::<Result<Bytes, std::io::Error>>();
        let body = Arc::new(Mutex::new(Some(body)));
        let answer = move || async move { Body::from_stream(body.lock().unwrap().take().unwrap()) };
        let broken = Router::new().route("/tasks", any(answer));
        let upstream = match here {
            true => gateway::Upstream::InProcess(broken.into()),
            false => http([background.serve(broken).await]),
        };
        let gateway = background.gateway(gateway::Config { query_api: upstream, ..embedded() }).await;
        parts.unbounded_send(Ok(Bytes::from_static(b"half"))).unwrap();
        let response = ask(&gateway, request("GET", "/tasks", &[], Body::empty())).await;
        let mut answer = response.into_body().into_data_stream();
        assert_eq!(timeout(DEADLINE, answer.next()).await.unwrap().unwrap().unwrap(), "half");
        parts.unbounded_send(Err(std::io::Error::other("lost"))).unwrap();
        assert!(timeout(DEADLINE, answer.next()).await.unwrap().unwrap().is_err());
    }
}

fn reader() -> HttpService {
    let read = any(|object: JsonObject| async move {
        serde_json::to_string(&object.fields).unwrap().len().to_string()
    });
    with_middleware(
        Router::new().route("/{*path}", read),
        "command-api",
        &Metrics::new("command-api"),
        Health::new(),
    )
}

#[tokio::test]
async fn a_body_that_stalls_or_is_too_large_is_refused_through_the_front_door() {
    let background = Background::default();
    for upstream in [gateway::Upstream::InProcess(reader()), http([background.serve(reader()).await])] {
        let gateway = background.gateway(gateway::Config { command_api: upstream, ..embedded() }).await;
        let options = ServerOptions { stall_timeout: Duration::from_millis(300), ..ServerOptions::default() };
        let address = background.serve_with(gateway, options).await;
        for (length, sent, status) in [(9, "{", "408"), (50_000_000, "{", "413"), (2, "{}", "200")] {
            let mut client = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "POST /tasks HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{sent}"
            );
            client.write_all(head.as_bytes()).await.unwrap();
            let mut answer = vec![0; 12];
            timeout(DEADLINE, client.read_exact(&mut answer)).await.expect("an answer").unwrap();
            assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
        }
    }
}

#[tokio::test]
async fn a_length_beside_chunks_reaches_no_role() {
    let background = Background::default();
    let gateway = background.distributed().await;
    let address = background.serve(gateway).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(
            b"POST /tasks HTTP/1.1\r\nHost: test\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\
              Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /auth/me HTTP/1.1\r\nHost: test\r\n\r\n",
        )
        .await
        .unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, client.read_to_string(&mut answer)).await.expect("the connection ends").unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert!(answer.contains(r#""body":"{}""#) && !answer.contains(r#""content-length":"40""#), "{answer}");
}
