//! The role, called without a socket.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use audit_tree::AuditTree;
use auth_client::{Check, Identity, Rejection, Verifier, VerifyError};
use axum::body::Body;
use database::Database;
use events::{Role, SessionId, Timestamp, UserId};
use http::{HeaderMap, Request, StatusCode, header};
use http_api::HttpService;
use http_body_util::BodyExt;
use runtime::Background;
use serde_json::Value;
use test_support::TestClock;
use tower::ServiceExt;
use uuid::Uuid;

use super::{PARTITIONS, TestLog};
use crate::{Config, Dependencies, start};

/// The expiry time of every token.
pub(crate) const EXPIRES_AT: Timestamp = Timestamp::from_micros(2_000_000_000_000_000);

/// A running query API.
pub(crate) struct TestRole {
    router: HttpService,
    clock: Arc<TestClock>,
    log: Arc<TestLog>,
    revoked: Arc<AtomicBool>,
    cut_off: Arc<AtomicBool>,
    background: Background,
}

/// The response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl TestRole {
    pub(crate) async fn start(database: &Database) -> Self {
        Self::with_cursor_key(database, [7; 32]).await
    }

    pub(crate) async fn with_cursor_key(database: &Database, cursor_key: [u8; 32]) -> Self {
        Self::with(database, database, cursor_key).await
    }

    pub(crate) async fn with_audit_tree(database: &Database, audit_tree: &Database) -> Self {
        Self::with(database, audit_tree, [7; 32]).await
    }

    async fn with(database: &Database, audit_tree: &Database, cursor_key: [u8; 32]) -> Self {
        let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(1_800_000_000_000_000)));
        let background = Background::new();
        let log = Arc::new(TestLog::endless());
        let revoked = Arc::new(AtomicBool::new(false));
        let cut_off = Arc::new(AtomicBool::new(false));
        let tokens = TokensAreUserIds { revoked: Arc::clone(&revoked), cut_off: Arc::clone(&cut_off) };
        let dependencies = Dependencies {
            read_models: database.clone(),
            audit_tree: AuditTree::new(audit_tree.clone()),
            store: log.clone(),
            verifier: Verifier::direct(Arc::new(tokens)),
            clock: clock.clone(),
        };
        let config = Config { partitions: PARTITIONS, cursor_key, connections: 4 };
        let router = start(config, dependencies, &background).await.unwrap();
        Self { router, clock, log, revoked, cut_off, background }
    }

    /// Makes auth unavailable, or available again.
    pub(crate) fn cut_off(&self, is_cut_off: bool) {
        self.cut_off.store(is_cut_off, Ordering::SeqCst);
    }

    /// The log of the role.
    pub(crate) fn log(&self) -> &TestLog {
        &self.log
    }

    /// Ends every session.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
    }

    /// The answer to a `GET`, whose body is still to be read.
    pub(crate) async fn open(
        &self,
        caller: UserId,
        path: &str,
        headers: &[(&str, &str)],
    ) -> axum::response::Response {
        let request = self.request(caller, path, headers);
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }

    /// `GET` as `caller`.
    pub(crate) async fn get(&self, caller: UserId, path: &str) -> Answer {
        self.get_with(caller, path, &[]).await
    }

    /// `GET` as `caller`, with more headers.
    pub(crate) async fn get_with(&self, caller: UserId, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(self.request(caller, path, headers)).await
    }

    #[expect(clippy::unused_self, reason = "a request to this role")]
    fn request(&self, caller: UserId, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let token = format!("{}.a.b", caller.0.simple());
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }
}

impl Drop for TestRole {
    fn drop(&mut self) {
        self.background.stop().cancel();
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The titles of a page.
    #[track_caller]
    pub(crate) fn titles(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.bytes));
        let titles = self.json()["items"].as_array().unwrap().clone();
        titles.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        let json = self.json();
        assert_eq!((self.status.as_u16(), json["code"].as_str()), (status, Some(code)), "{json}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(json["type"], format!("/problems/{code}"));
        assert!(json["request_id"].is_string(), "{json}");
    }
}

/// Stands in for auth: the first part of a token is the caller's id, whose role is `user` unless the second part is
/// `auditor`.
struct TokensAreUserIds {
    revoked: Arc<AtomicBool>,
    cut_off: Arc<AtomicBool>,
}

#[async_trait]
impl Check for TokensAreUserIds {
    async fn check(&self, token: &str) -> Result<Identity, VerifyError> {
        if self.revoked.load(Ordering::SeqCst) {
            return Err(Rejection::SessionEnded.into());
        }
        let id = token.split('.').next().and_then(|id| Uuid::try_parse(id).ok());
        let user_id = UserId(id.ok_or(Rejection::Malformed)?);
        let role = if token.split('.').nth(1) == Some("auditor") { Role::Auditor } else { Role::User };
        Ok(Identity {
            user_id,
            credential: auth_client::Credential::Session(SessionId(Uuid::nil())),
            email: "ada@example.com".to_owned(),
            roles: BTreeSet::from([role]),
            expires_at: EXPIRES_AT,
        })
    }

    fn is_connected(&self) -> bool {
        !self.cut_off.load(Ordering::SeqCst)
    }
}
