//! The stream of a person's task events, through the gateway.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Deployment, Person, Role, System};

const TIMEOUT: Duration = Duration::from_secs(40);
/// Less than the fifteen seconds between two heartbeats.
const NOTICED: Duration = Duration::from_secs(7);

#[tokio::test]
async fn embedded_stream_of_events() {
    stream_of_events(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_of_events_on_postgres_and_rabbitmq() {
    stream_of_events(Deployment::Servers).await;
}

struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(person: &Person, last_id: Option<&str>) -> Self {
        // After it, the stream does not have to wait for the projection.
        person.get("/tasks").await.expect(200);
        let url = format!("{}/tasks/events", person.base);
        let mut request = person.http.get(url).bearer_auth(&person.token);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        // A stream counts until the system notices that its client has gone, which does not wait for the next
        // heartbeat.
        let deadline = Instant::now() + NOTICED;
        let mut response = request.try_clone().unwrap().send().await.unwrap();
        while response.status() == 429 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
            response = request.try_clone().unwrap().send().await.unwrap();
        }
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The id and the data of the next event, or `None` at the end of the stream.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.map(str::to_owned)
                };
                let event = field("data: ")
                    .map(|data| (field("id: ").unwrap(), serde_json::from_str(&data).unwrap()));
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = timeout(TIMEOUT, self.response.chunk()).await.unwrap().unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

async fn stream_of_events(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    let mut stream = Stream::open(&ada, None).await;
    bob.post("/tasks", json!({"title": "Not hers"})).await.expect(201);
    let task = ada.post("/tasks", json!({"title": "Hers"})).await.expect(201).body;
    let (seen, event) = stream.event().await.unwrap();
    assert_eq!((&event["type"], &event["task"]), (&json!("task.created"), &task["id"]));
    drop(stream);

    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    ada.patch(&path, json!({"title": "Renamed"})).await.expect(200);
    ada.delete(&path).await.expect(204);
    let mut stream = Stream::open(&ada, Some(&seen)).await;
    for kind in ["task.renamed", "task.deleted"] {
        assert_eq!(stream.event().await.unwrap().1["type"], kind);
    }

    // A ninth stream of one person is refused, and closed ones do not count.
    let mut others = Vec::new();
    for _ in 0..7 {
        others.push(Stream::open(&ada, None).await);
    }
    assert_eq!(ada.get("/tasks/events").await.expect(429).code(), "rate-limited");
    drop(others);
    others = Vec::new();
    for _ in 0..7 {
        others.push(Stream::open(&ada, None).await);
    }
    drop(others);

    ada.send(Method::POST, "/auth/logout", None).await.expect(204);
    assert!(stream.event().await.is_none(), "the stream ends with the session");
    system.stop().await;
}

#[tokio::test]
async fn embedded_streams_end_whole_and_at_once_when_the_process_stops() {
    streams_end_when_processes_stop(Deployment::Embedded, &[Role::Up]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_whole_and_at_once_when_a_process_stops_on_postgres_and_rabbitmq() {
    streams_end_when_processes_stop(Deployment::Servers, &[Role::QueryApi, Role::Gateway]).await;
}

async fn streams_end_when_processes_stop(deployment: Deployment, roles: &[Role]) {
    let mut system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    for role in roles {
        let mut stream = Stream::open(&ada, None).await;
        assert_eq!(system.terminate(*role), Some(0));
        // A stream that is cut off is an error here.
        assert!(stream.event().await.is_none());
        let log = system.log_text((*role).into());
        assert!(!log.contains("did not finish in time"), "{log}");
        system.launch(*role);
        system.ready().await;
    }
    system.stop().await;
}
