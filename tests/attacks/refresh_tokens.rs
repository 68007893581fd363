//! What honest clients do with refresh tokens (an answer that is lost, two tabs at once, a restart of the server)
//! ends no session. Reuse by a thief ends it, and so does expiry.

use reqwest::Method;
use serde_json::json;

use super::{at_once, is_refused_everywhere, is_served_everywhere, restart_auth, text, with_token};
use crate::support::{Answer, Deployment, Person, System};

const HOUR: i64 = 3_600 * 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn embedded_honest_clients_stay_logged_in_whatever_gets_lost() {
    honest_clients_stay_logged_in(Deployment::Embedded, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_clients_stay_logged_in_whatever_gets_lost_on_postgres_and_rabbitmq() {
    honest_clients_stay_logged_in(Deployment::Servers, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_used_token_ends_its_session_also_after_a_restart() {
    a_used_token_ends_its_session(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_ends_its_session_also_after_a_restart_on_postgres_and_rabbitmq() {
    a_used_token_ends_its_session(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_session_that_nobody_refreshes_for_three_days_ends() {
    a_session_that_nobody_refreshes_ends(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_nobody_refreshes_for_three_days_ends_on_postgres_and_rabbitmq() {
    a_session_that_nobody_refreshes_ends(Deployment::Servers).await;
}

async fn refresh(base: &str, person: &Person, token: &str) -> Answer {
    let person = Person { base: base.to_owned(), ..with_token(person, "") };
    let body = Some(json!({"refresh_token": token}));
    let headers = [("user-agent", "the same client")];
    let sent = person.try_send(Method::POST, "/auth/refresh", body, &headers);
    sent.await.unwrap()
}

async fn honest_clients_stay_logged_in(deployment: Deployment, replicas: usize) {
    let mut system = System::launched(deployment, replicas).await;
    system.ready().await;
    let ada = Person::join(&system.base, "ada").await;
    let bases = [system.bases[0].clone(), system.bases[replicas - 1].clone()];

    // The answer was lost, and the client tries again at another gateway.
    refresh(&bases[0], &ada, &ada.refresh_token).await.expect(200);
    let again = refresh(&bases[1], &ada, &ada.refresh_token).await.expect(200);
    let token = text(&again.body, "refresh_token");

    // Two tabs refresh at once, and each goes on with the token that it received.
    let (one, other) = tokio::join!(refresh(&bases[0], &ada, &token), refresh(&bases[1], &ada, &token));
    let mut tabs = [one, other].map(|answer| text(&answer.expect(200).body, "refresh_token"));
    assert_ne!(tabs[0], tabs[1]);
    for round in 0..3 {
        for tab in &mut tabs {
            let base = &bases[round % 2];
            *tab = text(&refresh(base, &ada, tab).await.expect(200).body, "refresh_token");
        }
        if round == 1 {
            restart_auth(&mut system, deployment).await;
        }
    }
    is_served_everywhere(&ada).await;
    system.stop().await;
}

async fn a_used_token_ends_its_session(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let first = ada.refresh_token.clone();
    let next = refresh(&system.base, &ada, &first).await.expect(200);
    let last = refresh(&system.base, &ada, &text(&next.body, "refresh_token")).await;
    let last = last.expect(200);
    let newest = with_token(&ada, text(&last.body, "access_token"));
    restart_auth(&mut system, deployment).await;
    is_served_everywhere(&newest).await;
    // The successor was used, so this token is a copy, whichever client sends it.
    let refused = refresh(&system.base, &ada, &first).await.expect(401);
    assert_eq!(refused.code(), "session-ended");
    for person in [&ada, &newest] {
        at_once("both are out", async || is_refused_everywhere(person).await).await;
    }
    let refused = refresh(&system.base, &ada, &text(&last.body, "refresh_token")).await;
    assert_eq!(refused.expect(401).code(), "session-ended");
    system.stop().await;
}

/// Moves the events of all sessions back in time, while auth is stopped.
async fn let_hours_pass(system: &mut System, deployment: Deployment, hours: i64) {
    let auth = super::auth_of(deployment);
    system.kill(auth);
    const SQL: &str = "UPDATE events SET recorded_at = recorded_at - $1 WHERE stream LIKE 'session-%'";
    let url = system.database_url("events.db");
    let log = database::Database::connect(&url, database::Schema::EventStore, 2);
    let moved = log.await.unwrap().execute(SQL, &[(hours * HOUR).into()]).await;
    assert!(moved.unwrap() > 0, "there are no sessions");
    system.launch(auth);
    system.ready().await;
}

async fn a_session_that_nobody_refreshes_ends(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let left = Person::join(&system.base, "left").await;
    let kept = Person::join(&system.base, "kept").await;
    let_hours_pass(&mut system, deployment, 40).await;
    let refreshed = refresh(&system.base, &kept, &kept.refresh_token).await.expect(200);
    let_hours_pass(&mut system, deployment, 40).await;
    // This is eighty hours after the login and forty after the last refresh.
    let refused = refresh(&system.base, &left, &left.refresh_token).await;
    assert_eq!(refused.expect(401).code(), "token-expired");
    assert!(is_refused_everywhere(&left).await, "the access token ends with its session");
    let token = text(&refreshed.body, "refresh_token");
    refresh(&system.base, &kept, &token).await.expect(200);
    system.stop().await;
}
