//! The requests of one account leave capacity for token checks of others.

use std::{sync::Arc, time::Duration};

use events::{FREE_WRONG_CODES, MAX_OPEN_SESSIONS};
use futures::{StreamExt, poll, stream::FuturesUnordered};
use http::{Method, StatusCode};
use test_support::FaultyStore;

use crate::{
    program_tokens,
    second_factor::{code, enrolled, go_on, mfa_token, wrong},
    support::{ADA, App, PASSWORD},
};

/// The most requests of one person that run or wait.
const MAX_REQUESTS: usize = 64;
/// The most requests that the gateway forwards for one caller at once.
const IN_FLIGHT: usize = 512;
/// The most stream reads that may come before those of a later token check. The admitted requests read about 1,500
/// streams, which may all come first when the machine is busy; without a limit for each person it would be 12,000.
const MAX_READS: usize = 3_000;

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
    let verifier = app.verifier().await;

    let reading = store.reading.write().await;
    let mut requests: FuturesUnordered<_> =
        (0..IN_FLIGHT).map(|_| app.get_as(&greedy, "/auth/sessions")).collect();
    let mut answers = Vec::new();
    // All of them arrive before the first one is done.
    while answers.len() < IN_FLIGHT - MAX_REQUESTS {
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
    assert!(reads <= MAX_READS, "{reads} reads came before the check");

    answers.extend(requests.map(|answer| answer.status).collect::<Vec<_>>().await);
    let told = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!(told(StatusCode::TOO_MANY_REQUESTS), IN_FLIGHT - MAX_REQUESTS);
    assert_eq!(told(StatusCode::OK) + told(StatusCode::SERVICE_UNAVAILABLE), MAX_REQUESTS, "{answers:?}");
    // Nobody is counted any more.
    let after = app.get_as(&greedy, "/auth/sessions").await;
    assert_eq!(after.body["items"].as_array().unwrap().len(), 21);
}

#[tokio::test]
async fn a_login_that_is_over_or_has_a_wrong_code_reads_no_sessions() {
    let (app, store) = App::start_faulty().await;
    app.register(ADA).await.expect(201, "");
    for _ in 1..MAX_OPEN_SESSIONS {
        app.login(ADA, PASSWORD).await.expect(200, "");
    }
    let (_, secret, _) = enrolled(&app).await;
    let late = mfa_token(&app).await;
    app.clock.advance(300);
    let token = mfa_token(&app).await;
    let (right, wrong) = (code(&app, &secret, 0), wrong(&app, &secret));
    store.take_cost();
    for code in [&right, &wrong] {
        go_on(&app, &late, code).await.expect(401, "token-invalid");
    }
    assert_eq!(store.take_cost().reads, 0, "an old token is old without a look at the account");
    go_on(&app, &token, &wrong).await.expect(401, "bad-credentials");
    let reads = store.take_cost().reads;
    assert!(reads <= 10, "{reads} reads of a request with a wrong code");
    // While codes have to wait, the time of the answer does not tell whether one is right.
    for _ in 1..FREE_WRONG_CODES {
        go_on(&app, &token, &wrong).await.expect(401, "bad-credentials");
    }
    let token = mfa_token(&app).await;
    store.take_cost();
    go_on(&app, &token, &right).await.expect(429, "rate-limited");
    let reads = store.take_cost().reads;
    assert!(reads <= 10, "{reads} reads of a request that has to wait");
    app.clock.advance(30);
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
    assert!(store.take_cost().reads > MAX_OPEN_SESSIONS, "the sessions that have ended make room first");
}

#[tokio::test]
async fn whoever_sends_bodies_without_end_does_not_keep_the_owner_from_ending_the_session() {
    let app = App::start().await;
    let (stolen, _) = app.sign_in(ADA).await;
    let (own, _) = app.sign_in(ADA).await;
    let mut endless: Vec<_> = (0..2 * MAX_REQUESTS)
        .map(|_| Box::pin(app.call(Method::PATCH, "/auth/me").token(&stolen).endless().bare()))
        .collect();
    for request in &mut endless {
        assert!(poll!(request).is_pending());
    }
    let logout = app.post_as(&own, "/auth/logout-all");
    let answer = tokio::time::timeout(Duration::from_secs(3), logout).await;
    answer.unwrap().expect(204, "");
}

#[tokio::test]
async fn whoever_has_a_revoked_program_token_uses_nothing_up_of_its_owner() {
    let (app, store) = App::start_faulty().await;
    let (own, _) = app.sign_in(ADA).await;
    let (program, id) = program_tokens::token(&app, &own).await;
    program_tokens::revoke(&app, &own, &id).await.expect(204, "");

    let reading = store.reading.write().await;
    let mut requests: Vec<_> =
        (0..MAX_REQUESTS).map(|_| Box::pin(app.get_as(&program, "/auth/me"))).collect();
    for request in &mut requests {
        assert!(poll!(request).is_pending());
    }
    let one_more = app.get_as(&program, "/auth/me").await;
    one_more.expect(429, "rate-limited");
    let mut me = Box::pin(app.me(&own));
    assert!(poll!(&mut me).is_pending());
    drop(reading);
    let (me, answers) = tokio::join!(me, futures::future::join_all(requests));
    me.expect(200, "");
    for answer in answers {
        answer.expect(401, "session-ended");
    }
}
