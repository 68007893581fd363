//! Every place at which a client's text enters an event, a header or a row, with the longest and strangest value that
//! is accepted. The text is the same, and bounded, in the log, on the bus, in the read models and in the API.

mod places;

use std::time::Duration;

use events::RecordedEvent;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Deployment, PASSWORD, Person, System, until};

/// Characters of four bytes, composed characters, right-to-left text, an emoji with joiners, and characters with a
/// meaning in URLs, SQL, patterns, JSON, CSV and shells, in NFC.
const STRANGE: &str =
    "🦀é\u{5e9}\u{5dc}\u{200f}x👨\u{200d}👩\u{200d}👧%25%?_\\'\"`<&>;,--$(){}[]|#\u{2028}\u{fffd}ß\u{1f3f4}";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn embedded_text_comes_out_as_it_went_in() {
    text_comes_out_as_it_went_in(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_out_as_it_went_in_on_postgres_and_rabbitmq() {
    text_comes_out_as_it_went_in(Deployment::Servers).await;
}

/// `length` characters, visible at both ends.
fn strange(length: usize) -> String {
    let middle: String = STRANGE.chars().cycle().take(length - 2).collect();
    format!("a{middle}z")
}

/// `length` visible ASCII characters.
fn visible(length: usize) -> String {
    ('!'..='~').cycle().take(length).collect()
}

async fn text_comes_out_as_it_went_in(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let later_trace = format!("01{}-{}", &TRACE[2..], "\"".repeat(20_000));
    let (id, key) = (visible(128), visible(255));
    let headers = [
        ("X-Request-Id", id.as_str()),
        ("Traceparent", later_trace.as_str()),
        ("Idempotency-Key", key.as_str()),
    ];
    let send = async |method: Method, path: &str, body: Value| {
        ada.try_send(method, path, Some(body), &headers).await.unwrap()
    };

    let name = strange(100);
    let body = json!({"display_name": name});
    let renamed = send(Method::PATCH, "/auth/me", body).await.expect(200);
    assert_eq!(renamed.body["user"]["display_name"], name);
    assert_eq!(renamed.header("x-request-id"), id);
    assert_eq!(ada.get("/auth/me").await.body["user"]["display_name"], name);

    let tags: Vec<String> = (0..20).map(|n| format!("{n:02}{}", strange(48))).collect();
    let text = json!({
        "title": strange(200),
        "description": format!("{}\r\n\t{}", strange(5_000), strange(4_997)),
        "tags": tags,
    });
    let created = send(Method::POST, "/tasks", text.clone()).await.expect(201);
    let path = created.header("location").to_owned();
    let shows = |body: &Value| {
        for field in ["title", "description", "tags"] {
            assert_eq!(body[field], text[field]);
        }
    };
    shows(&created.body);
    shows(&ada.get(&path).await.expect(200).body);
    let tag = utf8_percent_encode(&tags[7], NON_ALPHANUMERIC).to_string();
    let listed = ada.get(&format!("/tasks?tag={tag}")).await.expect(200);
    shows(&listed.body["items"][0]);
    for part in ["🦀é", "%25%?_\\'\"`<&>;,--$", "Z\r\n\tA", "👨\u{200d}👩"] {
        let words = utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
        let found = ada.get(&format!("/tasks?q={words}")).await.expect(200);
        assert_eq!(found.body["items"].as_array().unwrap().len(), 1, "{part}");
    }

    // The decomposed form is the same text, and changing to it is no change.
    let decomposed = text["title"].as_str().unwrap().replace('é', "e\u{301}");
    let same = ada.patch(&path, json!({"title": decomposed})).await.expect(200);
    assert_eq!(same.body["version"], 1);
    refused(&ada, &path).await;

    let agent = format!("{}é", "x".repeat(5_000));
    let login = json!({"email": ada.email, "password": PASSWORD});
    ada.try_send(Method::POST, "/auth/login", Some(login), &[("User-Agent", &agent)])
        .await
        .unwrap()
        .expect(200);
    until("the session is listed", Duration::from_secs(20), async || {
        let sessions = ada.get("/auth/sessions").await.expect(200);
        let agents = sessions.body["items"].as_array().unwrap().iter();
        agents.clone().any(|session| session["user_agent"] == "x".repeat(512))
    })
    .await;

    let log = in_log(&system).await;
    let of_request: Vec<_> = log.iter().filter(|event| event.metadata.correlation_id == *id).collect();
    let kinds: Vec<_> = of_request.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["account.renamed", "task.created"]);
    for event in &of_request {
        assert_eq!(event.metadata.traceparent.as_deref(), Some(TRACE));
    }
    assert_eq!(of_request[1].metadata.idempotency_key.as_deref(), Some(key.as_str()));
    for event in &log {
        assert!(serde_json::to_vec(&event.metadata).unwrap().len() < 2_048);
    }

    system.read_models_equal_the_log().await;
    let operator = Person { base: system.admin(), ..ada.clone() };
    let total = |page: &Value, name: &str| -> f64 {
        let samples = page.as_str().unwrap().lines();
        samples
            .filter(|line| line.starts_with(name))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    };
    // A message is counted after it was published, and a page is reused for a second.
    let mut page = Value::Null;
    until("every message was published", Duration::from_secs(30), async || {
        page = operator.get("/metrics").await.expect(200).body;
        total(&page, "taskledger_relay_published_total") >= log.len() as f64
    })
    .await;
    // The broker refused none.
    assert_eq!(total(&page, "taskledger_relay_publish_failures_total"), 0.0);
    system.stop().await;
}

/// Invisible characters and those that change the direction of text are refused everywhere.
async fn refused(ada: &Person, path: &str) {
    for (text, code) in [
        ("\u{200b}", "empty"),
        ("\u{2800}\u{3164}", "empty"),
        ("\u{202e}", "empty"),
        ("a\u{202e}b", "direction-control"),
        ("a\u{1f}b", "control-character"),
        ("a\u{0}b", "control-character"),
    ] {
        for (answer, pointer) in [
            (ada.patch(path, json!({"title": text})).await, "/title"),
            (ada.patch(path, json!({"tags": [text]})).await, "/tags/0"),
            (ada.patch("/auth/me", json!({"display_name": text})).await, "/display_name"),
        ] {
            let answer = answer.expect(422);
            let error = &answer.body["errors"][0];
            assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{text:?}");
        }
    }
    for query in ["q=%00", "q=%FF", "tag=a%00", "q=%80%80"] {
        let answer = ada.get(&format!("/tasks?{query}")).await.expect(400);
        assert_eq!(answer.code(), "bad-parameter", "{query}");
    }
}

async fn in_log(system: &System) -> Vec<RecordedEvent> {
    let store = system.open_log().await;
    test_support::read_all(&*store, 0, 10_000).await
}
