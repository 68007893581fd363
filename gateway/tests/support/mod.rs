//! A gateway with roles that return the requests they got.

#![expect(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use auth_client::{Check, Identity, PROGRAM_TOKEN_PREFIX, Rejection, Verifier, VerifyError};
use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use events::{ConsistencyToken, Role, SessionId, Timestamp, UserId};
use gateway::{Config, Upstream};
use http::{HeaderMap, HeaderName, StatusCode};
use http_api::{CONSISTENCY_TOKEN, Health, with_middleware};
use http_server::{HttpService, ServerOptions, bind, serve};
use runtime::Metrics;
use serde_json::{Value, json};
use tower::ServiceExt;
use url::Url;
use uuid::Uuid;

/// The time limit of a test's wait.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A token of a program of Ann's.
pub fn program_of_ann() -> String {
    format!("{PROGRAM_TOKEN_PREFIX}{}", "a".repeat(107))
}

/// Accepts the tokens `ann.x.y` and `bob.x.y`, with anything for x and y, and [`program_of_ann`].
#[derive(Default)]
pub struct TwoPeople {
    is_changed: AtomicBool,
    is_revoked: AtomicBool,
    asked_about_programs: AtomicUsize,
}

impl TwoPeople {
    /// Changes Ann's address.
    pub fn change_ann(&self) {
        self.is_changed.store(true, Ordering::SeqCst);
    }

    /// Makes Ann's tokens invalid.
    pub fn revoke_ann(&self) {
        self.is_revoked.store(true, Ordering::SeqCst);
    }

    /// The number of checks of texts in the form of a program token.
    pub fn asked_about_programs(&self) -> usize {
        self.asked_about_programs.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Check for TwoPeople {
    async fn check(&self, token: &str) -> Result<Identity, VerifyError> {
        if token.starts_with(PROGRAM_TOKEN_PREFIX) {
            self.asked_about_programs.fetch_add(1, Ordering::SeqCst);
        }
        let user_id = match token.split('.').next() {
            Some("ann") if self.is_revoked.load(Ordering::SeqCst) => {
                return Err(Rejection::SessionEnded.into());
            }
            Some("ann") => ann(),
            Some("bob") => bob(),
            Some(token) if token == program_of_ann() => ann(),
            Some("down") => return Err(VerifyError::Unavailable("auth is down".to_owned())),
            _ => return Err(Rejection::Malformed.into()),
        };
        Ok(Identity {
            user_id,
            credential: auth_client::Credential::Session(SessionId(Uuid::from_u128(9))),
            email: match self.is_changed.load(Ordering::SeqCst) {
                true => "another@example.com".to_owned(),
                false => "someone@example.com".to_owned(),
            },
            roles: BTreeSet::from([Role::User]),
            expires_at: Timestamp::MAX,
        })
    }

    /// `down.ann.y` also has a valid signature.
    fn subject(&self, token: &str) -> Option<UserId> {
        match token.strip_prefix("down.").unwrap_or(token).split('.').next() {
            Some("ann") => Some(ann()),
            Some("bob") if !token.starts_with("down.") => Some(bob()),
            _ => None,
        }
    }
}

pub fn ann() -> UserId {
    UserId(Uuid::from_u128(1))
}

pub fn bob() -> UserId {
    UserId(Uuid::from_u128(2))
}

/// A role that answers every request with a description of it. With the header `x-answer-token: <user> <position>`
/// the answer has a consistency token.
pub fn role(name: &'static str) -> HttpService {
    let echo = move |request: Request| async move { echo(name, request).await };
    with_middleware(Router::new().route("/{*path}", any(echo)), name, &Metrics::new(name), Health::new())
}

async fn echo(name: &'static str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers: serde_json::Map<String, Value> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut answer = HeaderMap::new();
    for (name, value) in [
        ("connection", "x-internal"),
        ("x-internal", "1"),
        ("server", "secret/1"),
        ("keep-alive", "timeout=1"),
        ("etag", "\"1\""),
    ] {
        answer.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    if let Some(wanted) = headers.get("x-answer-token").and_then(Value::as_str) {
        let (user, position) = wanted.split_once(' ').unwrap();
        let user = if user == "ann" { ann() } else { bob() };
        let token = ConsistencyToken::new(user, position.parse().unwrap()).to_string();
        answer.insert(&CONSISTENCY_TOKEN, token.parse().unwrap());
    }
    let told = json!({
        "role": name,
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map(ToString::to_string),
        "headers": headers,
        "body": String::from_utf8_lossy(&bytes),
    });
    (answer, Json(told)).into_response()
}

/// Keeps the background work of a test, and ends it.
#[derive(Default)]
pub struct Background(pub runtime::Background);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.stop().cancel();
    }
}

impl Background {
    /// Serves `service` on a free port of this machine.
    pub async fn serve(&self, service: impl Into<HttpService>) -> SocketAddr {
        self.serve_with(service, ServerOptions::default()).await
    }

    pub async fn serve_with(&self, service: impl Into<HttpService>, options: ServerOptions) -> SocketAddr {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        self.0.spawn("server", serve(listener, service.into(), options, self.0.stop()));
        address
    }

    pub async fn gateway(&self, config: Config) -> HttpService {
        self.gateway_that_asks(Arc::new(TwoPeople::default()), config).await
    }

    /// A gateway whose tokens are checked by `people`.
    pub async fn gateway_that_asks(&self, people: Arc<TwoPeople>, config: Config) -> HttpService {
        let verifier = Verifier::direct(people);
        gateway::start(config, verifier, &self.0).await.unwrap()
    }

    /// Every role in this process.
    pub async fn embedded(&self) -> HttpService {
        self.gateway(embedded()).await
    }

    /// Every role behind an address of its own.
    pub async fn distributed(&self) -> HttpService {
        let mut config = embedded();
        for upstream in
            [&mut config.command_api, &mut config.query_api, &mut config.auth, &mut config.projector]
        {
            let Upstream::InProcess(router) = upstream else { unreachable!() };
            *upstream = http([self.serve(router.clone()).await]);
        }
        self.gateway(config).await
    }
}

pub fn embedded() -> Config {
    Config {
        command_api: Upstream::InProcess(role("command-api")),
        query_api: Upstream::InProcess(role("query-api")),
        auth: Upstream::InProcess(role("auth")),
        projector: Upstream::InProcess(role("projector")),
        upstream_ca: None,
        policy: None,
    }
}

pub fn http(addresses: impl IntoIterator<Item = SocketAddr>) -> Upstream {
    Upstream::Http(
        addresses.into_iter().map(|address| Url::parse(&format!("http://{address}")).unwrap()).collect(),
    )
}

/// An address without a listener.
pub async fn nobody() -> SocketAddr {
    bind("127.0.0.1:0".parse().unwrap()).await.unwrap().local_addr().unwrap()
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

pub async fn ask(gateway: &HttpService, request: Request) -> Response {
    tokio::time::timeout(DEADLINE, gateway.clone().oneshot(request))
        .await
        .expect("an answer in time")
        .unwrap()
}

pub async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.into()).unwrap()
}

pub async fn json_of(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The request that the role got, from its answer.
pub async fn told(gateway: &HttpService, method: &str, path: &str, headers: &[(&str, &str)]) -> Value {
    json_of(ask(gateway, request(method, path, headers, Body::empty())).await).await
}
