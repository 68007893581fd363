//! Callers see their own writes without sending tokens, and nobody waits for the writes of others.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use axum::body::Body;
use events::ConsistencyToken;
use http_api::HttpService;
use serde_json::Value;
use support::{Background, ann, ask, bob, request, told};

/// Ann, Ann with another session, and Bob: the person matters, not the token.
const ANN: (&str, &str) = ("authorization", "Bearer ann.x.y");
const ANN_LATER: (&str, &str) = ("authorization", "bearer ann.x.z");
const BOB: (&str, &str) = ("authorization", "Bearer bob.x.y");

async fn both() -> (Background, [HttpService; 2]) {
    let background = Background::default();
    let gateways = [background.embedded().await, background.distributed().await];
    (background, gateways)
}

async fn command(gateway: &HttpService, method: &str, path: &str, headers: &[(&str, &str)]) {
    assert_eq!(ask(gateway, request(method, path, headers, Body::empty())).await.status(), 200);
}

/// The consistency tokens that reach the role with a read of `path`.
async fn seen(gateway: &HttpService, path: &str, headers: &[(&str, &str)]) -> Value {
    told(gateway, "GET", path, headers).await["headers"]["consistency-token"].clone()
}

fn token(user: events::UserId, position: u64) -> Value {
    ConsistencyToken::new(user, position).to_string().into()
}

#[tokio::test]
async fn a_callers_reads_ask_for_what_their_commands_did() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        assert_eq!(seen(gateway, "/tasks", &[ANN]).await, Value::Null);
        command(gateway, "POST", "/tasks", &[ANN, ("x-answer-token", "ann 7")]).await;
        for path in ["/tasks", "/tasks/1", "/auth/me"] {
            assert_eq!(seen(gateway, path, &[ANN]).await, token(ann(), 7), "{path}");
        }
        assert_eq!(seen(gateway, "/tasks", &[ANN_LATER]).await, token(ann(), 7), "a new access token");
        command(gateway, "PATCH", "/auth/me", &[ANN, ("x-answer-token", "ann 9")]).await;
        command(gateway, "PATCH", "/tasks/1", &[ANN_LATER, ("x-answer-token", "ann 8")]).await;
        assert_eq!(
            seen(gateway, "/tasks", &[ANN]).await,
            format!("{}, {}", ConsistencyToken::new(ann(), 9), ConsistencyToken::new(ann(), 8)),
            "the furthest, and what came after it, which is more when the log has lost its end"
        );
    }
}

#[tokio::test]
async fn nobody_waits_for_what_another_wrote() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        command(gateway, "POST", "/tasks", &[ANN, ("x-answer-token", "ann 7")]).await;
        command(gateway, "POST", "/tasks", &[ANN, ("x-answer-token", "bob 99")]).await;
        assert_eq!(seen(gateway, "/tasks", &[BOB]).await, Value::Null);
        assert_eq!(seen(gateway, "/tasks", &[]).await, Value::Null);
        command(gateway, "POST", "/tasks", &[BOB, ("x-answer-token", "bob 3")]).await;
        assert_eq!(seen(gateway, "/tasks", &[ANN]).await, token(ann(), 7));
        assert_eq!(seen(gateway, "/tasks", &[BOB]).await, token(bob(), 3));
    }
}

#[tokio::test]
async fn a_token_that_the_caller_sends_is_theirs_to_choose() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        command(gateway, "POST", "/tasks", &[ANN, ("x-answer-token", "ann 7")]).await;
        let headers = [ANN, ("consistency-token", "mine"), ("prefer", "handling=strict")];
        let reached = told(gateway, "GET", "/tasks", &headers).await["headers"].clone();
        assert_eq!(reached["consistency-token"], "mine");
        assert_eq!(reached["prefer"], "handling=strict");
        // A state that the gateway remembers need not exist for ever.
        let reached = told(gateway, "GET", "/tasks", &[ANN]).await["headers"].clone();
        assert_eq!(reached["prefer"], "handling=lenient");
    }
}

#[tokio::test]
async fn the_answers_to_reads_change_nothing() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        command(gateway, "GET", "/tasks", &[ANN, ("x-answer-token", "ann 7")]).await;
        assert_eq!(seen(gateway, "/tasks", &[ANN]).await, Value::Null);
    }
}

#[tokio::test]
async fn while_auth_is_away_a_good_signature_is_enough() {
    const ANN_SIGNED: (&str, &str) = ("authorization", "Bearer down.ann.y");
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        command(gateway, "POST", "/tasks", &[ANN_SIGNED, ("x-answer-token", "ann 7")]).await;
        let expected = ConsistencyToken::new(ann(), 7).to_string();
        for who in [ANN_SIGNED, ANN] {
            assert_eq!(seen(gateway, "/tasks", &[who]).await, expected);
        }
    }
}

#[tokio::test]
async fn an_unknown_caller_is_forwarded_as_they_are() {
    let (_background, gateways) = both().await;
    for gateway in &gateways {
        // The second one has {"sub": ann()} without a signature.
        for authorization in [
            "Bearer down.x.y",
            "Bearer down.eyJzdWIiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDEifQ.y",
            "Bearer nobody.x.y",
            "Bearer",
            "Basic YTpi",
            "",
        ] {
            let sent = ("authorization", authorization);
            command(gateway, "POST", "/tasks", &[sent, ("x-answer-token", "ann 7")]).await;
            let told = told(gateway, "GET", "/tasks", &[sent]).await;
            assert_eq!(told["headers"]["consistency-token"], Value::Null);
            assert_eq!(told["headers"]["authorization"], authorization);
        }
        assert_eq!(seen(gateway, "/tasks", &[ANN]).await, Value::Null);
    }
}
