//! The access log has one line of JSON for each request, whatever the client sends, and no request waits for the log.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Deployment, Person, System, until};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A system whose access log is the file `access.log` of its directory, with more `settings`.
async fn logging(settings: &[(&'static str, &str)]) -> System {
    let mut system = System::prepared(Deployment::Embedded).await;
    let file = system.directory().join("access.log");
    system.set("TASKLEDGER_ACCESS_LOG", file.display().to_string());
    for (name, value) in settings {
        system.set(name, *value);
    }
    system.launch_all();
    system.ready().await;
    system
}

/// The lines about requests whose ids begin with `prefix`, by the rest of their ids. Fails if a line is not a JSON
/// object.
fn lines(file: &Path, prefix: &str) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(file).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let read = serde_json::from_str::<Value>(line);
        assert!(read.as_ref().is_ok_and(Value::is_object), "{line}");
        let line = read.unwrap();
        assert_eq!(line["target"], "access", "{line}");
        let id = line["request.id"].as_str().unwrap();
        if let Some(rest) = id.strip_prefix(prefix) {
            let twice = found.insert(rest.to_owned(), line.clone());
            assert!(twice.is_none(), "one line for each request: {line}");
        }
    }
    found
}

/// Sends these bytes and returns everything that the server answers until it closes the connection.
async fn raw(base: &str, bytes: &[u8]) -> String {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_line_that_tells_what_became_of_it() {
    let system = logging(&[]).await;
    let file = system.directory().join("access.log");
    let ada = Person::join(&system.base, "ada").await;
    let me = ada.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let send = async |person: &Person, method, path: &str, body, id: &str| {
        let headers = [("x-request-id", id)];
        person.try_send(method, path, body, &headers).await.unwrap()
    };
    let task = Some(json!({"title": "A title that nobody reads in a log"}));
    send(&ada, Method::POST, "/tasks", task, "id-create").await.expect(201);
    // No later read has to wait for the projection.
    ada.get("/tasks").await.expect(200);
    send(&ada, Method::GET, "/tasks?q=secret", None, "id-first").await.expect(200);
    let second = send(&ada, Method::GET, "/tasks?q=secret", None, "id-second").await.expect(200);
    let mut forger = ada.clone();
    forger.token = format!("{}x", ada.token);
    send(&forger, Method::GET, "/tasks", None, "id-forged").await.expect(401);
    send(&ada, Method::GET, "/nothing/here", None, "id-nowhere").await.expect(404);

    until("the lines are there", TIMEOUT, async || lines(&file, "id-").len() == 5).await;
    let found = lines(&file, "id-");
    let create = &found["create"];
    for (field, value) in [
        ("level", json!("INFO")),
        ("role", json!("gateway")),
        ("client.ip", json!("127.0.0.1")),
        ("http.method", json!("POST")),
        ("http.route", json!("/tasks")),
        ("http.status", json!(201)),
        ("user.id", me.clone()),
        ("limit.decision", json!("passed")),
    ] {
        assert_eq!(create[field], value, "{field}: {create}");
    }
    for number in ["answer.bytes", "duration_ms", "answer.head_after_ms", "upstream.duration_ms"] {
        assert!(create[number].as_f64().unwrap() > 0.0, "{number}: {create}");
    }
    assert_eq!(create["trace.id"].as_str().unwrap().len(), 32);
    assert_eq!(found["first"]["cache.status"], "stored");
    let hit = &found["second"];
    assert_eq!(hit["cache.status"], "hit");
    assert_eq!(hit["upstream.duration_ms"], Value::Null, "nobody was asked: {hit}");
    assert_eq!(hit["answer.bytes"].to_string(), second.header("content-length"));
    assert_eq!(found["forged"]["user.id"], Value::Null, "anyone could have written it");
    assert_eq!(found["forged"]["http.status"], 401);
    assert_eq!(found["nowhere"]["http.route"], "unmatched");
    let text = fs::read_to_string(&file).unwrap();
    for secret in ["secret", "nobody reads", ada.token.as_str(), ada.email.as_str()] {
        assert!(!text.contains(secret), "{secret}");
    }
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_a_line_of_their_own_and_what_the_parser_refuses_has_one() {
    let system = logging(&[]).await;
    let file = system.directory().join("access.log");
    let hostile = "x\"}\u{1b}[31m{\"http.status\":200,\"target\":\"forged\"}\\";
    let forged = format!(
        "GET /tasks/%0a%22%7d{{\"a\":1}} HTTP/1.1\r\nHost: t\r\nUser-Agent: {hostile}\u{e9}\r\nX-Forwarded-For: {hostile}\r\n\
         X-Request-Id: hostile-\"}}\\\r\nConnection: close\r\n\r\n"
    );
    // The header contains bytes that are not text, and the server refuses some of them. In either case there is one
    // line, and it is one object.
    raw(&system.base, forged.as_bytes()).await;
    let plain = forged.replace('\u{1b}', "").replace("{\"a\":1}", "");
    raw(&system.base, plain.as_bytes()).await;
    let statuses = [
        ("GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "a".repeat(10_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: t\r\nA: {}\r\n\r\n", "a".repeat(70_000)), 431),
        ("GET / HTTP/1.1\r\nHost: never to be co".to_owned(), 408),
    ];
    for (bytes, status) in &statuses {
        let answer = raw(&system.base, bytes.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
    }
    until("the lines are there", TIMEOUT, async || {
        let all = lines(&file, "");
        let has = |status: u16| all.values().any(|line| line["http.status"] == status);
        statuses.iter().all(|(_, status)| has(*status)) && !lines(&file, "hostile-").is_empty()
    })
    .await;
    let found = lines(&file, "hostile-\"}\\");
    let line = &found[""];
    assert_eq!(line["client.ip"], "127.0.0.1");
    assert!(line["user_agent"].as_str().unwrap().contains("\"target\":\"forged\"}\\"), "{line}");
    assert_eq!(line["url.path"], "/tasks/%0a%22%7d");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_so_many_successes_is_written_and_every_error() {
    let system =
        logging(&[("TASKLEDGER_ACCESS_LOG_SAMPLE", "1000"), ("TASKLEDGER_ACCESS_LOG_SLOW_MS", "60000")])
            .await;
    let file = system.directory().join("access.log");
    let http = reqwest::Client::new();
    for _ in 0..30 {
        assert_eq!(http.get(format!("{}/openapi.json", system.base)).send().await.unwrap().status(), 200);
        assert_eq!(http.get(format!("{}/tasks", system.base)).send().await.unwrap().status(), 401);
    }
    let of = |status: u16| {
        let all = lines(&file, "");
        all.values().filter(|line| line["http.status"] == status).count()
    };
    until("every error is written", TIMEOUT, async || of(401) == 30).await;
    assert_eq!(of(200), 1, "the first of a thousand");
    system.stop().await;
}
