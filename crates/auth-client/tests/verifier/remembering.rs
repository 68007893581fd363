//! How long an answer is remembered, and what makes the verifier forget it.

use std::sync::Arc;

use auth_client::{REVOCATIONS, Rejection, Revocation, Verifier, VerifyError, messages::Verdict};
use bus::Bus as _;
use test_support::{FaultyBus, eventually};
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, accept, held_by, identity_of, options, reply, token};

#[tokio::test]
async fn good_answers_are_remembered_for_thirty_seconds() {
    let fixture = Fixture::accepting().await;
    for _ in 0..3 {
        fixture.verifier.verify(&token(1)).await.unwrap();
    }
    fixture.clock.advance(29);
    fixture.verifier.verify(&token(1)).await.unwrap();
    assert_eq!(fixture.asked(), 1);
    fixture.clock.advance(1);
    fixture.verifier.verify(&token(1)).await.unwrap();
    assert_eq!(fixture.asked(), 2);
}

#[tokio::test]
async fn a_late_answer_is_remembered_from_the_moment_when_it_was_asked_for() {
    let gate = Arc::new(Semaphore::new(0));
    let fixture = held_by(&gate).await;
    let verifier = Arc::clone(&fixture.verifier);
    let late = tokio::spawn(async move { verifier.verify(&token(1)).await });
    eventually("auth is asked", || async { fixture.asked() == 1 }).await;
    fixture.clock.advance(20);
    gate.add_permits(2);
    late.await.unwrap().unwrap();
    fixture.clock.advance(9);
    fixture.verifier.verify(&token(1)).await.unwrap();
    assert_eq!(fixture.asked(), 1);
    fixture.clock.advance(1);
    fixture.verifier.verify(&token(1)).await.unwrap();
    assert_eq!(fixture.asked(), 2);
}

#[tokio::test]
async fn rejections_are_told_apart_and_remembered_for_a_second() {
    for rejection in [Rejection::Malformed, Rejection::Expired, Rejection::SessionEnded] {
        let fixture =
            Fixture::new(move |token, _| async move { reply(&token, Verdict::Rejected(rejection)) }).await;
        for _ in 0..3 {
            assert_eq!(fixture.verifier.verify(&token(1)).await, Err(VerifyError::Rejected(rejection)));
        }
        assert_eq!(fixture.asked(), 1);
        fixture.clock.advance(1);
        assert_eq!(fixture.verifier.verify(&token(1)).await, Err(VerifyError::Rejected(rejection)));
        assert_eq!(fixture.asked(), 2);
    }
}

#[tokio::test]
async fn without_auth_remembered_tokens_go_on_working() {
    let fixture = Fixture::accepting().await;
    fixture.verifier.verify(&token(1)).await.unwrap();
    fixture.auth_background.stop().cancel();
    eventually("auth is gone", || async { !fixture.verifies_something().await }).await;
    assert!(fixture.verifier.verify(&token(1)).await.is_ok());
    assert!(matches!(fixture.verifier.verify(&token(2)).await, Err(VerifyError::Unavailable(_))));
    fixture.clock.advance(30);
    assert!(matches!(fixture.verifier.verify(&token(1)).await, Err(VerifyError::Unavailable(_))));
}

#[tokio::test]
async fn a_revocation_forgets_its_session_or_account() {
    let fixture = Fixture::accepting().await;
    let (one, two) = (identity_of(&token(1)), identity_of(&token(2)));
    for (revocation, asked) in
        [(Revocation::Session(one.credential.session().unwrap()), 3), (Revocation::Account(two.user_id), 4)]
    {
        for number in [1, 2] {
            fixture.verifier.verify(&token(number)).await.unwrap();
        }
        fixture.revoke(revocation).await;
        eventually("the revocation is heard", || async {
            for number in [1, 2] {
                fixture.verifier.verify(&token(number)).await.unwrap();
            }
            fixture.asked() == asked
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_from_before_a_revocation_is_not_believed() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    // The first answer is decided before the session ends, and arrives after the revocation.
    let fixture = Fixture::new(move |asked, number| {
        let gate = Arc::clone(&held);
        async move {
            match number {
                _ if asked == "x.x.warm-up" => accept(&asked),
                0 => {
                    let stale = accept(&asked);
                    gate.acquire().await.unwrap().forget();
                    stale
                }
                _ => reply(&asked, Verdict::Rejected(Rejection::SessionEnded)),
            }
        }
    })
    .await;
    let verifier = Arc::clone(&fixture.verifier);
    let check = tokio::spawn(async move { verifier.verify(&token(1)).await });
    eventually("the check is sent", || async { fixture.asked() == 1 }).await;
    // A second listener shows that the revocation has arrived: listeners receive messages in the order in which they
    // subscribed.
    let mut witness = fixture.bus.listen(REVOCATIONS).await.unwrap();
    fixture.revoke(Revocation::Session(identity_of(&token(1)).credential.session().unwrap())).await;
    witness.next().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    let ended = Err(VerifyError::Rejected(Rejection::SessionEnded));
    assert_eq!(check.await.unwrap(), ended);
    assert_eq!(fixture.verifier.remembered(), 0);
}

#[tokio::test]
async fn a_gap_in_the_broadcasts_makes_tokens_asked_again() {
    let fixture = Fixture::accepting().await;
    let bus = FaultyBus::over(Arc::clone(&fixture.bus) as _);
    let verifier = Verifier::start(Arc::clone(&bus) as _, options(&fixture.clock), &fixture.background).await;
    eventually("the keys are known", || async { verifier.verify(&token(1)).await.is_ok() }).await;
    let asked = fixture.asked();
    verifier.verify(&token(1)).await.unwrap();
    assert_eq!(fixture.asked(), asked, "remembered");
    bus.gaps.add_permits(1);
    eventually("the token is asked about again", || async {
        verifier.verify(&token(1)).await.unwrap();
        fixture.asked() > asked
    })
    .await;
}
