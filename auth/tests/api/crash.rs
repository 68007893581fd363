//! A crash between the claim on an address and the registration.

use std::sync::{Arc, atomic::Ordering};

use test_support::FaultyStore;

use crate::{
    register::the_only_one,
    support::{ADA, App, PASSWORD},
};

async fn crashed() -> (App, Arc<FaultyStore>) {
    let (app, faults) = App::start_faulty().await;
    faults.accounts.store(true, Ordering::SeqCst);
    app.register(ADA).await.expect(503, "unavailable");
    assert_eq!(app.kinds().await, ["email.claimed"]);
    (app, faults)
}

#[tokio::test]
async fn the_next_registration_goes_on_with_the_claimed_account() {
    let (app, faults) = crashed().await;
    app.login(ADA, PASSWORD).await.expect(401, "bad-credentials");
    faults.accounts.store(false, Ordering::SeqCst);
    let claimed = app.log().await[0].metadata.subject;
    let answer = app.register(ADA).await.expect(201, "");
    assert_eq!(answer.text("/user/id"), claimed.to_string());
    assert_eq!(app.kinds().await, ["email.claimed", "account.registered"]);
    app.register(ADA).await.expect(409, "email-taken");
    app.sign_in(ADA).await;
}

#[tokio::test]
async fn of_many_who_go_on_exactly_one_wins() {
    let (app, faults) = crashed().await;
    faults.accounts.store(false, Ordering::SeqCst);
    let answers = futures::future::join_all((0..8).map(|_| app.register(ADA))).await;
    the_only_one(&answers);
    assert_eq!(app.kinds().await, ["email.claimed", "account.registered"]);
}
