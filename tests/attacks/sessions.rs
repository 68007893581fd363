//! Stolen refresh tokens, and tokens of sessions that have ended.

use event_store::EventStore;
use events::{
    Actor, EndReason, EventId, Metadata, SessionEnded, SessionEvent, SessionId, StreamName, Timestamp, UserId,
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AT_ONCE, everywhere, is_refused_everywhere, is_served_everywhere, is_shown, with_token};
use crate::support::{Answer, Footing, Person, Role, System, until};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_stolen_and_ended_sessions_open_nothing() {
    stolen_and_ended_sessions_open_nothing(Footing::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stolen_and_ended_sessions_open_nothing_on_postgres_and_rabbitmq() {
    stolen_and_ended_sessions_open_nothing(Footing::Servers).await;
}

async fn refresh(person: &Person, token: &str, user_agent: &str) -> Answer {
    let body = Some(json!({"refresh_token": token}));
    let headers = [("user-agent", user_agent)];
    let sent = person.try_send(Method::POST, "/auth/refresh", body, &headers);
    sent.await.unwrap()
}

fn text(answer: &Answer, name: &str) -> String {
    answer.body[name].as_str().unwrap().to_owned()
}

async fn stolen_and_ended_sessions_open_nothing(footing: Footing) {
    let system = System::start(footing).await;
    let mut ada = Person::join(&system.base, "ada").await;

    // A thief uses the token first: the owner's next refresh ends the session of both.
    let stolen = ada.refresh_token.clone();
    let thief = refresh(&ada, &stolen, "thief").await.expect(200);
    let thiefs = with_token(&ada, text(&thief, "access_token"));
    is_served_everywhere(&thiefs).await;
    let refused = refresh(&ada, &stolen, "owner").await.expect(401);
    assert_eq!(refused.code(), "session-ended");
    for person in [&ada, &thiefs] {
        until("both are out", AT_ONCE, async || {
            is_refused_everywhere(person).await
        })
        .await;
    }
    let next = text(&thief, "refresh_token");
    assert_eq!(
        refresh(&ada, &next, "thief").await.expect(401).code(),
        "session-ended"
    );

    // The owner is first, and the thief comes at once, from elsewhere.
    ada.log_in().await;
    let stolen = ada.refresh_token.clone();
    let owner = refresh(&ada, &stolen, "owner").await.expect(200);
    refresh(&ada, &stolen, "thief").await.expect(401);
    let owners = with_token(&ada, text(&owner, "access_token"));
    until("both are out", AT_ONCE, async || {
        is_refused_everywhere(&owners).await
    })
    .await;

    // A token is good for what it is.
    ada.log_in().await;
    let as_access = with_token(&ada, ada.refresh_token.clone());
    assert!(is_refused_everywhere(&as_access).await);
    assert_eq!(
        refresh(&ada, &ada.token, "owner").await.expect(401).code(),
        "token-invalid"
    );

    // What has ended is refused by those who have just asked about it.
    for end in ["logout", "logout-all", "session", "password"] {
        let other = ada.clone();
        ada.log_in().await;
        is_served_everywhere(&other).await;
        let ended = match end {
            "logout" => other.send(Method::POST, "/auth/logout", None).await,
            "logout-all" => ada.send(Method::POST, "/auth/logout-all", None).await,
            "session" => {
                let session = claims(&other)["sid"].as_str().unwrap().to_owned();
                ada.delete(&format!("/auth/sessions/{session}")).await
            }
            _ => {
                let same = crate::support::PASSWORD;
                let body = json!({"current_password": same, "new_password": "violet harbour lantern"});
                ada.post("/auth/me/password", body).await
            }
        };
        ended.expect(204);
        until(end, AT_ONCE, async || is_refused_everywhere(&other).await).await;
        assert_eq!(
            other.get("/tasks").await.expect(401).code(),
            "session-ended",
            "{end}"
        );
        if end == "logout-all" {
            ada.log_in().await;
        }
    }
    system.stop().await;
}

fn claims(person: &Person) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
    let part = person.token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL.decode(part).unwrap()).unwrap()
}

/// What auth leaves behind that is killed between its append and its broadcast.
async fn append_the_end(system: &System, person: &Person) {
    let claims = claims(person);
    let id = |name: &str| claims[name].as_str().unwrap();
    let (subject, session): (UserId, SessionId) = (id("sub").parse().unwrap(), id("sid").parse().unwrap());
    let store = event_store::open(&system.store_url(), 2).await.unwrap();
    let store: &dyn EventStore = &*store;
    let stream = StreamName::session(session);
    let head = store.stream_head(&stream).await.unwrap().unwrap();
    let ended = SessionEvent::from(SessionEnded {
        reason: EndReason::Logout,
    });
    let encoded = ended.encode();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = Timestamp::from_micros(since.unwrap().as_micros().try_into().unwrap());
    let event = encoded.into_event(
        EventId(Uuid::now_v7()),
        Metadata {
            subject,
            actor: Actor::User(subject),
            correlation_id: "killed".into(),
            causation_id: Uuid::now_v7(),
            traceparent: None,
            idempotency_key: None,
        },
        now,
    );
    store.append(&stream, head.version, vec![event]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_auth_ended_before_it_was_killed_is_refused_on_postgres_and_rabbitmq() {
    let mut system = System::start(Footing::Servers).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    for person in [&ada, &bob] {
        is_served_everywhere(person).await;
    }
    system.kill(Role::Auth);
    append_the_end(&system, &ada).await;
    until("nobody serves the session", AT_ONCE, async || {
        let answers = [
            ada.get("/tasks").await,
            ada.post("/tasks", json!({"title": "Late"})).await,
        ];
        answers
            .iter()
            .all(|answer| answer.status == 503 || answer.status == 401)
    })
    .await;
    is_shown(&bob, "/tasks").await;
    system.launch(Role::Auth);
    system.ready().await;
    for answer in everywhere(&ada).await {
        assert_eq!(answer.expect(401).code(), "session-ended");
    }
    is_served_everywhere(&bob).await;
    system.stop().await;
}
