//! One check: who is asked, which answer is believed, and whose check it is.

use std::{sync::Arc, time::Duration};

use auth_client::{Rejection, Verifier, VerifierOptions, VerifyError, messages::Verdict};
use bytes::Bytes;
use futures::future::join_all;
use test_support::eventually;
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, accept, held_by, identity_of, options, reply, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn identities_are_never_mixed_up() {
    // Later requests are answered sooner, so that replies arrive in another order.
    let fixture = Fixture::new(|token, number| async move {
        for _ in 0..(64 - number % 64) * 4 {
            tokio::task::yield_now().await;
        }
        accept(&token)
    })
    .await;
    let callers = (0..64).map(|caller| {
        let verifier = Arc::clone(&fixture.verifier);
        let clock = Arc::clone(&fixture.clock);
        tokio::spawn(async move {
            for round in 0..50 {
                let token = token(caller * 50 + round % 25);
                let identity = verifier.verify(&token).await.unwrap();
                assert_eq!(*identity, identity_of(&token));
                if caller == 0 && round % 10 == 0 {
                    clock.advance(31); // everything is asked again
                }
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    assert!(fixture.asked() >= 64 * 25);
}

#[tokio::test]
async fn a_reply_to_another_check_is_refused() {
    let fixture = Fixture::new(|_, _| async { accept(&token(666)) }).await;
    let refused = fixture.verifier.verify(&token(1)).await;
    assert!(matches!(refused, Err(VerifyError::Unavailable(_))), "{refused:?}");
    assert_eq!(fixture.verifier.remembered(), 0);
}

#[tokio::test]
async fn checks_of_one_token_at_once_are_one_request() {
    let gate = Arc::new(Semaphore::new(0));
    let fixture = held_by(&gate).await;
    let checks: Vec<_> = (0..64)
        .map(|_| {
            let verifier = Arc::clone(&fixture.verifier);
            tokio::spawn(async move { verifier.verify(&token(1)).await })
        })
        .collect();
    eventually("the check is sent", || async { fixture.asked() == 1 }).await;
    gate.add_permits(1);
    for check in checks {
        assert_eq!(*check.await.unwrap().unwrap(), identity_of(&token(1)));
    }
    assert_eq!(fixture.asked(), 1);
}

#[tokio::test]
async fn who_asked_first_may_hang_up() {
    let gate = Arc::new(Semaphore::new(0));
    let fixture = held_by(&gate).await;
    let spawn = || {
        let verifier = Arc::clone(&fixture.verifier);
        tokio::spawn(async move { verifier.verify(&token(1)).await })
    };
    let first = spawn();
    eventually("the check is sent", || async { fixture.asked() == 1 }).await;
    let second = spawn();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    assert!(second.await.unwrap().is_ok());
    assert_eq!(fixture.asked(), 1);
}

#[tokio::test]
async fn a_token_that_ran_out_on_the_way_is_expired() {
    let fixture = Fixture::accepting().await;
    fixture.clock.advance(900);
    let expired = Err(VerifyError::Rejected(Rejection::Expired));
    assert_eq!(fixture.verifier.verify(&token(1)).await, expired);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_asked_of_nobody() {
    let fixture = Fixture::accepting().await;
    for text in ["", "x", "a.b", "a.b.c.d", "a.b.ü", &format!("a.b.{}", "c".repeat(4096))] {
        let malformed = Err(VerifyError::Rejected(Rejection::Malformed));
        assert_eq!(fixture.verifier.verify(text).await, malformed, "{text}");
    }
    assert_eq!(fixture.asked(), 0);
}

#[tokio::test]
async fn auth_that_cannot_tell_or_talks_nonsense_is_unavailable() {
    let fixture = Fixture::new(|token, number| async move {
        if number % 2 == 0 { reply(&token, Verdict::Unavailable) } else { Bytes::from_static(b"nonsense") }
    })
    .await;
    for _ in 0..4 {
        assert!(matches!(fixture.verifier.verify(&token(1)).await, Err(VerifyError::Unavailable(_))));
    }
}

#[tokio::test]
async fn what_auth_cannot_read_is_no_outage() {
    let fixture = Fixture::new(|token, _| async move { reply(&token, Verdict::Failed) }).await;
    assert_eq!(fixture.verifier.verify(&token(1)).await, Err(VerifyError::Failed));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_none() {
    let gate = Arc::new(Semaphore::new(0));
    let fixture = held_by(&gate).await;
    let hasty = VerifierOptions { deadline: Duration::from_millis(100), ..options(&fixture.clock) };
    let hasty = Verifier::start(Arc::clone(&fixture.bus) as _, hasty, &fixture.background).await;
    let late = hasty.verify(&token(1)).await;
    assert!(matches!(late, Err(VerifyError::Unavailable(_))), "{late:?}");
    assert_eq!(hasty.remembered(), 0);
    // Whether the first check still waits for a permit depends on the bus.
    gate.add_permits(2);
    eventually("the next check is answered", || async {
        hasty.verify(&token(1)).await.is_ok_and(|identity| *identity == identity_of(&token(1)))
    })
    .await;
}

#[tokio::test]
async fn an_accepted_token_of_somebody_else_is_refused() {
    let fixture =
        Fixture::new(|asked, _| async move { reply(&asked, Verdict::Accepted(identity_of(&token(2)))) })
            .await;
    let refused = fixture.verifier.verify(&token(1)).await;
    assert!(matches!(refused, Err(VerifyError::Unavailable(_))), "{refused:?}");
    assert_eq!(fixture.verifier.remembered(), 0);
}

#[tokio::test]
async fn whom_a_genuine_token_names_is_known_without_auth() {
    let fixture = Fixture::accepting().await;
    fixture.auth_background.stop().cancel();
    assert_eq!(fixture.verifier.subject(&token(1)), Some(identity_of(&token(1)).user_id));
    fixture.clock.advance(900);
    assert_eq!(fixture.verifier.subject(&token(1)), None);
}

#[tokio::test]
async fn stopping_ends_the_background_work() {
    let fixture = Fixture::accepting().await;
    for background in [&fixture.background, &fixture.auth_background] {
        assert!(background.shut_down(Duration::from_secs(10)).await, "the tasks end");
    }
}
