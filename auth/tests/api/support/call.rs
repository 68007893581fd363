//! A request to the router, and its answer.

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::App;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The slug of a problem; empty for anything else.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self, pointer: &str) -> String {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{pointer} in {self:?}"))
            .to_owned()
    }

    /// The pointers and codes of a `validation-failed`.
    pub(crate) fn mistakes(&self) -> Vec<(String, String)> {
        assert_eq!(
            (self.status, self.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "validation-failed"),
            "{self:?}"
        );
        let errors = self.body["errors"].as_array().unwrap().iter();
        errors
            .map(|error| {
                (error["pointer"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{self:?}");
        self
    }
}

/// One request being put together.
pub(crate) struct Call<'a> {
    app: &'a App,
    request: http::request::Builder,
    body: Body,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        let text = body.to_string();
        let mut call = self.header("content-type", "application/json");
        call.body = Body::from(text);
        call
    }

    pub(crate) fn raw(mut self, body: &'static str) -> Self {
        self.body = Body::from(body);
        self
    }

    /// With a body that never ends.
    pub(crate) fn endless(mut self) -> Self {
        self.body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        self
    }

    /// Sends it, and checks what every answer of auth must have.
    pub(crate) async fn send(self) -> Answer {
        let method = self.request.method_ref().cloned();
        let answer = self.bare().await;
        if answer.status.is_success() && method != Some(Method::GET) {
            assert_ne!(answer.header("consistency-token"), "", "{answer:?}");
        }
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        if answer.status.is_client_error() || answer.status.is_server_error() {
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.body["status"], answer.status.as_u16());
            assert_eq!(answer.body["type"], format!("/problems/{}", answer.code()));
        }
        if answer.status == StatusCode::UNAUTHORIZED {
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        }
        answer
    }

    /// Sends it.
    pub(crate) async fn bare(self) -> Answer {
        let request: Request<Body> = self.request.body(self.body).unwrap();
        let response = self.app.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl App {
    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call { app: self, request: Request::builder().method(method).uri(path), body: Body::empty() }
    }

    /// The page of metrics.
    pub(crate) async fn metrics(&self) -> String {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let page = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(page.to_vec()).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }
}
