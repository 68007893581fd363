//! Stolen refresh tokens, and access tokens of sessions that have ended.

use std::time::Duration;

use events::{EndReason, SessionEnded, SessionEvent, SessionId, StreamName, UserId};
use reqwest::Method;
use serde_json::json;

use super::{
    append_as_auth, at_once, claims, everywhere, is_refused_everywhere, is_served_everywhere, is_shown, text,
    with_token,
};
use crate::support::{Answer, Deployment, Person, Role, System, until};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_stolen_and_ended_sessions_open_nothing() {
    stolen_and_ended_sessions_open_nothing(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stolen_and_ended_sessions_open_nothing_on_postgres_and_rabbitmq() {
    stolen_and_ended_sessions_open_nothing(Deployment::Servers).await;
}

async fn refresh(person: &Person, token: &str, user_agent: &str) -> Answer {
    let body = Some(json!({"refresh_token": token}));
    let headers = [("user-agent", user_agent)];
    let sent = person.try_send(Method::POST, "/auth/refresh", body, &headers);
    sent.await.unwrap()
}

async fn stolen_and_ended_sessions_open_nothing(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut ada = Person::join(&system.base, "ada").await;

    // A thief uses the token first, and the owner's next refresh ends the session for both.
    let stolen = ada.refresh_token.clone();
    let thief = refresh(&ada, &stolen, "thief").await.expect(200);
    let thiefs = with_token(&ada, text(&thief.body, "access_token"));
    is_served_everywhere(&thiefs).await;
    let refused = refresh(&ada, &stolen, "owner").await.expect(401);
    assert_eq!(refused.code(), "session-ended");
    for person in [&ada, &thiefs] {
        at_once("both are out", async || is_refused_everywhere(person).await).await;
    }
    let next = text(&thief.body, "refresh_token");
    assert_eq!(refresh(&ada, &next, "thief").await.expect(401).code(), "session-ended");

    // The owner uses the token first, and the thief sends it right afterwards from another client.
    ada.log_in().await;
    let stolen = ada.refresh_token.clone();
    let owner = refresh(&ada, &stolen, "owner").await.expect(200);
    refresh(&ada, &stolen, "thief").await.expect(401);
    let owners = with_token(&ada, text(&owner.body, "access_token"));
    at_once("both are out", async || is_refused_everywhere(&owners).await).await;

    // An access token is no refresh token, and the other way round.
    ada.log_in().await;
    let as_access = with_token(&ada, ada.refresh_token.clone());
    assert!(is_refused_everywhere(&as_access).await);
    assert_eq!(refresh(&ada, &ada.token, "owner").await.expect(401).code(), "token-invalid");

    // Roles that have just cached a token refuse it after its session has ended.
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
        at_once(end, async || is_refused_everywhere(&other).await).await;
        assert_eq!(other.get("/tasks").await.expect(401).code(), "session-ended", "{end}");
        if end == "logout-all" {
            ada.log_in().await;
        }
    }
    system.stop().await;
}

/// Appends what auth has appended when it is killed before its broadcast.
async fn append_the_end(system: &System, person: &Person) {
    let claims = claims(person);
    let id = |name: &str| claims[name].as_str().unwrap();
    let (subject, session): (UserId, SessionId) = (id("sub").parse().unwrap(), id("sid").parse().unwrap());
    let ended = SessionEvent::from(SessionEnded { reason: EndReason::Logout });
    let stream = StreamName::session(session);
    append_as_auth(system, &stream, subject, vec![ended.encode()], Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_auth_ended_before_it_was_killed_is_refused_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let ada = Person::join(&system.base, "ada").await;
    let bob = Person::join(&system.base, "bob").await;
    for person in [&ada, &bob] {
        is_served_everywhere(person).await;
    }
    let mut unknown = bob.clone();
    unknown.log_in().await;
    system.kill(Role::Auth);
    append_the_end(&system, &ada).await;
    at_once("nobody serves the session", async || {
        let answers = [ada.get("/tasks").await, ada.post("/tasks", json!({"title": "Late"})).await];
        answers.iter().all(|answer| answer.status == 503 || answer.status == 401)
    })
    .await;
    is_shown(&bob, "/tasks").await;
    assert_eq!(unknown.get("/tasks").await.expect(503).code(), "unavailable");
    system.launch(Role::Auth);
    system.ready().await;
    for answer in everywhere(&ada).await {
        assert_eq!(answer.expect(401).code(), "session-ended");
    }
    is_served_everywhere(&bob).await;
    system.stop().await;
}

/// Time for which an answer is cached, with ten seconds of tolerance.
const REMEMBERED: Duration = Duration::from_secs(30 + 10);

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_while_the_bus_was_silent_is_remembered_for_half_a_minute_on_postgres_and_rabbitmq()
 {
    let mut system = System::start(Deployment::Servers).await;
    let ada = Person::join(&system.base, "ada").await;
    is_served_everywhere(&ada).await;
    system.proxy.as_ref().unwrap().hold_still(REMEMBERED * 2);
    let ended = ada.send(Method::POST, "/auth/logout", None).await;
    ended.expect(204);
    until("nobody serves the session", REMEMBERED, async || {
        let answers = [ada.get("/tasks").await, ada.post("/tasks", json!({"title": "Late"})).await];
        answers.iter().all(|answer| answer.status == 503 || answer.status == 401)
    })
    .await;
    system.clean().await;
}
