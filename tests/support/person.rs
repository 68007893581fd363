//! A person with an account, and their HTTP requests.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "a rather long passphrase";
/// How long a request is repeated while the projection is behind.
const BEHIND_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let status = response.status();
        let headers = response.headers().clone();
        let bytes = response.bytes().await?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        };
        Ok(Self { status, headers, body })
    }

    /// Returns the answer, and fails unless it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?} {}", self.headers, self.body);
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// A person with a session.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) base: String,
    pub(crate) http: Client,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

impl Person {
    /// Registers and signs in.
    pub(crate) async fn join(base: &str, name: &str) -> Self {
        let http = Client::builder().pool_max_idle_per_host(4).build().unwrap();
        let email = format!("{name}-{}@example.org", uuid::Uuid::new_v4().simple());
        let mut person =
            Self { base: base.to_owned(), http, email, token: String::new(), refresh_token: String::new() };
        let body = json!({"email": person.email, "password": PASSWORD, "display_name": name});
        person.send(Method::POST, "/auth/register", Some(body)).await.expect(201);
        person.log_in().await;
        person
    }

    pub(crate) async fn log_in(&mut self) -> Answer {
        let body = json!({"email": self.email, "password": PASSWORD});
        let answer = self.send(Method::POST, "/auth/login", Some(body)).await.expect(200);
        self.token = answer.body["access_token"].as_str().unwrap().to_owned();
        self.refresh_token = answer.body["refresh_token"].as_str().unwrap().to_owned();
        answer
    }

    /// Creates a task, and returns its id.
    pub(crate) async fn create(&self, title: &str) -> String {
        let created = self.post("/tasks", json!({ "title": title })).await.expect(201);
        created.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends a request, and again while the projection is behind: on a busy machine that takes longer than a request
    /// waits for it.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let deadline = Instant::now() + BEHIND_TIMEOUT;
        loop {
            let answer = self.try_send(method.clone(), path, body.clone(), &[]).await;
            let answer = answer.unwrap();
            if answer.code() != "projection-behind" || Instant::now() >= deadline {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a request once.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.send().await?).await
    }
}
