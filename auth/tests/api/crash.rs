//! A crash between the claim on an address and the registration.

use std::sync::{Arc, atomic::Ordering};

use test_support::FaultyStore;

use crate::support::{App, PASSWORD};

async fn crashed() -> (App, Arc<FaultyStore>) {
    let (app, faults) = App::start_faulty().await;
    faults.accounts.store(true, Ordering::SeqCst);
    app.register("ada@example.com").await.expect(503, "unavailable");
    assert_eq!(app.kinds().await, ["email.claimed"]);
    (app, faults)
}

#[tokio::test]
async fn the_next_registration_goes_on_with_the_claimed_account() {
    let (app, faults) = crashed().await;
    app.login("ada@example.com", PASSWORD)
        .await
        .expect(401, "bad-credentials");
    faults.accounts.store(false, Ordering::SeqCst);
    let claimed = app.log().await[0].metadata.subject;
    let answer = app.register("ada@example.com").await.expect(201, "");
    assert_eq!(answer.text("/user/id"), claimed.to_string());
    assert_eq!(app.kinds().await, ["email.claimed", "account.registered"]);
    app.register("ada@example.com").await.expect(409, "email-taken");
    app.sign_in("ada@example.com").await;
}

#[tokio::test]
async fn of_many_who_go_on_exactly_one_wins() {
    let (app, faults) = crashed().await;
    faults.accounts.store(false, Ordering::SeqCst);
    let answers = futures::future::join_all((0..8).map(|_| app.register("ada@example.com"))).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let taken = answers
        .iter()
        .filter(|answer| answer.code() == "email-taken")
        .count();
    assert_eq!((created, taken), (1, 7), "{answers:?}");
    assert_eq!(app.kinds().await, ["email.claimed", "account.registered"]);
}
