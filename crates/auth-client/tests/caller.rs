//! The `Caller` extractor: all reasons for a refusal, and the headers of the response.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use auth_client::{
    Admin, AuditReader, Caller, Check, Credential, Identity, Rejection, TaskOwner, Verifier, VerifyError,
};
use axum::{Router, body::Body, routing::get};
use events::{Role, Scope, SessionId, Timestamp, TokenId, UserId};
use http::{HeaderValue, Request, StatusCode};
use http_api::{JsonObject, Problem};
use http_body_util::BodyExt;
use tower::ServiceExt;
use uuid::Uuid;

struct FakeAuth;

#[async_trait]
impl Check for FakeAuth {
    async fn check(&self, token: &str) -> Result<Identity, VerifyError> {
        match token {
            "a.b.good" => Ok(Identity {
                user_id: UserId(Uuid::from_u128(1)),
                credential: Credential::Session(SessionId(Uuid::from_u128(2))),
                email: "ada@example.com".into(),
                roles: BTreeSet::from([Role::User]),
                expires_at: Timestamp::MAX,
            }),
            token if token == program_token() => Ok(Identity {
                user_id: UserId(Uuid::from_u128(1)),
                credential: Credential::ProgramToken {
                    id: TokenId(Uuid::from_u128(3)),
                    scopes: [Scope::TasksRead].into(),
                },
                email: "ada@example.com".into(),
                roles: [Role::User, Role::Admin].into(),
                expires_at: Timestamp::MAX,
            }),
            "a.b.expired" => Err(Rejection::Expired.into()),
            "a.b.ended" => Err(Rejection::SessionEnded.into()),
            "a.b.down" => Err(VerifyError::Unavailable("down".into())),
            _ => Err(Rejection::Malformed.into()),
        }
    }
}

fn program_token() -> String {
    format!("taskledger_pat_{}", "a".repeat(107))
}

async fn send(path: &str, authorization: &[&[u8]]) -> (StatusCode, String, String, String) {
    let router = Router::new()
        .route("/whoami", get(|caller: Caller| async move { caller.user_id().to_string() }))
        .route("/admin", get(|_: Admin| async { "" }).post(|_: Admin, _: JsonObject| async { "" }))
        .route("/tasks", get(|_: TaskOwner| async { "" }).post(|_: TaskOwner| async { "" }))
        .route("/audit", get(|_: AuditReader| async { "" }))
        .with_state(Verifier::direct(Arc::new(FakeAuth)));
    let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
    let mut request = Request::builder().method(method).uri(path);
    for value in authorization {
        request = request.header("authorization", HeaderValue::from_bytes(value).unwrap());
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let header =
        |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (status, challenge, retry) = (response.status(), header("www-authenticate"), header("retry-after"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let code = serde_json::from_str::<serde_json::Value>(&body)
        .ok()
        .and_then(|problem| problem["code"].as_str().map(str::to_owned));
    (status, code.unwrap_or(body), challenge, retry)
}

#[tokio::test]
async fn a_good_token_names_the_caller() {
    let id = Uuid::from_u128(1).to_string();
    for header in ["Bearer a.b.good", "bearer a.b.good", "BEARER  a.b.good ", "bEaReR a.b.good"] {
        let (status, body, ..) = send("/whoami", &[header.as_bytes()]).await;
        assert_eq!((status, &body), (StatusCode::OK, &id), "{header}");
    }
}

#[tokio::test]
async fn no_token_is_a_plain_challenge() {
    for headers in [&[][..], &[&b"Basic YTpi"[..]], &[b""], &[b"Bearera.b.good"]] {
        let (status, code, challenge, _) = send("/whoami", headers).await;
        assert_eq!((status.as_u16(), &*code, &*challenge), (401, "token-missing", "Bearer"), "{headers:?}");
    }
}

#[tokio::test]
async fn a_bad_token_says_why() {
    for (headers, code) in [
        (&[&b"Bearer"[..]][..], "token-invalid"),
        (&[b"Bearer "], "token-invalid"),
        (&[b"Bearer x"], "token-invalid"),
        (&[b"Bearer a.b.c"], "token-invalid"),
        (&[b"Bearer a.b.good extra"], "token-invalid"),
        (&[b"Bearer a.b.\xff"], "token-invalid"),
        (&[b"Bearer a.b.expired"], "token-expired"),
        (&[b"Bearer a.b.ended"], "session-ended"),
    ] {
        let (status, found, challenge, _) = send("/whoami", headers).await;
        assert_eq!((status.as_u16(), &*found), (401, code), "{headers:?}");
        assert!(challenge.starts_with(r#"Bearer error="invalid_token", error_description=""#), "{challenge}");
    }
}

#[tokio::test]
async fn two_tokens_are_a_bad_request() {
    let twice = [&b"Bearer a.b.good"[..]; 2];
    let (status, code, ..) = send("/whoami", &twice).await;
    assert_eq!((status.as_u16(), &*code), (400, "bad-parameter"));
}

#[tokio::test]
async fn what_cannot_be_checked_is_503() {
    let (status, code, challenge, retry) = send("/whoami", &[b"Bearer a.b.down"]).await;
    assert_eq!((status.as_u16(), &*code, &*challenge, &*retry), (503, "unavailable", "", "1"));
}

#[tokio::test]
async fn a_missing_role_is_forbidden() {
    // The role is checked before the body, which is missing here.
    for path in ["/admin", "POST /admin"] {
        let (status, code, ..) = send(path, &[b"Bearer a.b.good"]).await;
        assert_eq!((status.as_u16(), &*code), (403, "forbidden"), "{path}");
    }
    let _: fn(&Caller, Role) -> Result<(), Problem> = Caller::require;
}

#[tokio::test]
async fn a_program_does_what_its_scopes_say_and_nothing_else() {
    let header = format!("Bearer {}", program_token());
    let allowed = send("/tasks", &[header.as_bytes()]).await;
    assert_eq!(allowed.0, StatusCode::OK, "{allowed:?}");
    for (path, challenge) in [
        ("POST /tasks", r#"Bearer error="insufficient_scope", scope="tasks:write""#),
        ("/audit", r#"Bearer error="insufficient_scope", scope="audit:read""#),
        ("/whoami", ""),
        ("/admin", ""),
    ] {
        let (status, code, sent, _) = send(path, &[header.as_bytes()]).await;
        assert_eq!(
            (status, code.as_str(), sent.as_str()),
            (StatusCode::FORBIDDEN, "forbidden", challenge),
            "{path}"
        );
    }
}
