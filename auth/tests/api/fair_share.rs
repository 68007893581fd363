//! The requests of one account leave capacity for token checks of others.

use std::sync::Arc;

use auth_client::{Verifier, VerifierOptions};
use futures::{StreamExt, stream::FuturesUnordered};
use http::StatusCode;
use test_support::FaultyStore;

use crate::support::{App, PASSWORD};

/// The most requests that the gateway forwards for one caller at once.
const IN_FLIGHT: usize = 512;
/// The most stream reads that may come before those of a later token check. The admitted requests read about 1,500
/// streams; without a limit for each person it would be 12,000.
const MOST_READS: usize = 500;

async fn with_many_sessions(app: &App, email: &str) -> String {
    let (token, _) = app.sign_in(email).await;
    for _ in 0..20 {
        app.login(email, PASSWORD).await.expect(200, "");
    }
    token
}

#[tokio::test]
async fn a_check_is_answered_beside_somebody_who_lists_sessions_without_end() {
    let (app, store): (App, Arc<FaultyStore>) = App::start_faulty().await;
    let greedy = with_many_sessions(&app, "greedy@example.com").await;
    let (honest, _) = app.sign_in("honest@example.com").await;
    let verifier = Verifier::start(
        app.dependencies.bus.clone(),
        VerifierOptions {
            clock: app.dependencies.clock.clone(),
            ..VerifierOptions::default()
        },
        &app.background,
    )
    .await;

    let reading = store.reading.write().await;
    let mut requests: FuturesUnordered<_> = (0..IN_FLIGHT)
        .map(|_| app.get("/auth/sessions").token(&greedy).send())
        .collect();
    let mut answers = Vec::new();
    // All of them arrive before the first one is done.
    while answers.len() < IN_FLIGHT - 64 {
        answers.push(requests.next().await.unwrap().status);
    }
    drop(reading);
    let checked = async {
        // All requests of the greedy client are under way.
        store.take_cost();
        let identity = verifier.verify(&honest).await;
        (identity, store.take_cost().reads)
    };
    let mut checked = std::pin::pin!(checked);
    let (identity, reads) = loop {
        tokio::select! {
            biased;
            Some(answer) = requests.next() => answers.push(answer.status),
            checked = &mut checked => break checked,
        }
    };
    assert_eq!(identity.unwrap().email, "honest@example.com");
    assert!(reads <= MOST_READS, "{reads} reads came before the check");

    answers.extend(requests.map(|answer| answer.status).collect::<Vec<_>>().await);
    let told = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!(told(StatusCode::TOO_MANY_REQUESTS), IN_FLIGHT - 64);
    assert_eq!(
        told(StatusCode::OK) + told(StatusCode::SERVICE_UNAVAILABLE),
        64,
        "{answers:?}"
    );
    // Nobody is counted any more.
    let after = app.get("/auth/sessions").token(&greedy).send().await;
    assert_eq!(after.body["items"].as_array().unwrap().len(), 21);
}
