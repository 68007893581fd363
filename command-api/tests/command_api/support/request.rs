//! A request to a router, and its response.

use axum::{body::Body, response::Response};
use events::UserId;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, StatusCode};
use http_api::HttpService;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::{bearer, user};

/// Sent by user 1 unless set otherwise.
pub(crate) struct Request {
    router: HttpService,
    builder: http::request::Builder,
    token: Option<String>,
    body: Body,
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null when the body is not JSON.
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn new(router: HttpService, method: &str, path: &str) -> Self {
        let builder = http::Request::builder().method(method).uri(path);
        Self { router, builder, token: Some(bearer(user(1))), body: Body::empty() }
    }

    pub(crate) fn by(self, user: UserId) -> Self {
        self.token(&bearer(user))
    }

    pub(crate) fn token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    pub(crate) fn anonymous(self) -> Self {
        Self { token: None, ..self }
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self { builder: self.builder.header(name, value), ..self }
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn if_match(self, etag: &str) -> Self {
        self.header("if-match", etag)
    }

    pub(crate) fn if_none_match(self, etag: &str) -> Self {
        self.header("if-none-match", etag)
    }

    pub(crate) fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").raw(body.to_string())
    }

    pub(crate) fn raw(self, body: impl Into<Body>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) async fn send(self) -> Reply {
        let (parts, body) = self.unread().await.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Reply { status: parts.status, headers: parts.headers, text, body }
    }

    /// The response of a client that has not read the body.
    pub(crate) async fn unread(self) -> Response {
        let builder = match &self.token {
            Some(token) => self.builder.header("authorization", format!("Bearer {token}")),
            None => self.builder,
        };
        self.router.oneshot(builder.body(self.body).unwrap()).await.unwrap()
    }
}

impl IntoFuture for Request {
    type Output = Reply;
    type IntoFuture = BoxFuture<'static, Reply>;

    fn into_future(self) -> Self::IntoFuture {
        self.send().boxed()
    }
}

impl Reply {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    /// Asserts a problem document with this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["code"], code, "{}", self.text);
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        assert_eq!(self.body["status"], status);
        assert!(self.body["title"].is_string());
        assert!(self.body["request_id"].is_string(), "{}", self.text);
    }

    /// Asserts `422 validation-failed` with exactly these errors, in any order.
    #[track_caller]
    pub(crate) fn is_invalid(&self, errors: &[(&str, &str)]) {
        self.is_problem(422, "validation-failed");
        let mut found: Vec<(String, String)> = self.body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                assert!(error["detail"].is_string());
                (error["pointer"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned())
            })
            .collect();
        found.sort();
        let mut expected: Vec<_> = errors.iter().map(|(p, c)| ((*p).to_owned(), (*c).to_owned())).collect();
        expected.sort();
        assert_eq!(found, expected);
    }

    /// Asserts the answer to a batch, and returns its results after comparing their statuses.
    #[track_caller]
    pub(crate) fn results(&self, statuses: &[u16]) -> &[Value] {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "private, no-cache");
        let results = self.body["results"].as_array().unwrap();
        let found: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
        let expected: Vec<_> = statuses.iter().copied().map(u64::from).collect();
        assert_eq!(found, expected, "{}", self.text);
        for result in results {
            let keys: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
            match result["status"].as_u64().unwrap() {
                200 | 201 => assert_eq!(keys, ["status", "task"]),
                204 => assert_eq!(keys, ["status"]),
                status => {
                    assert_eq!(keys, ["problem", "status"]);
                    let problem = &result["problem"];
                    assert_eq!(problem["status"], status);
                    assert_eq!(problem["type"], format!("/problems/{}", problem["code"].as_str().unwrap()));
                    assert!(problem["title"].is_string() && problem["request_id"].is_string(), "{problem}");
                }
            }
        }
        results
    }

    /// Asserts a task at `version` with all the headers of a task response.
    #[track_caller]
    pub(crate) fn is_task(&self, status: u16, version: u64) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("etag"), format!("\"{version}\""));
        assert_eq!(self.header("cache-control"), "private, no-cache");
        assert_eq!(self.body["version"], version);
        self.token();
        let fields: Vec<_> = self.body.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = [
            "id",
            "title",
            "description",
            "status",
            "priority",
            "due",
            "tags",
            "created_at",
            "updated_at",
            "completed_at",
            "deleted_at",
            "version",
        ];
        expected.sort_unstable();
        let mut fields = fields;
        fields.sort_unstable();
        assert_eq!(fields, expected);
    }

    #[track_caller]
    pub(crate) fn token(&self) -> events::ConsistencyToken {
        self.header("consistency-token").parse().unwrap()
    }
}
