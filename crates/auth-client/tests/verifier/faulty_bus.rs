//! A bus that refuses, forgets and panics.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use auth_client::{KEYS_QUEUE, VERIFY_QUEUE, Verifier, VerifierOptions, VerifyError};
use events::Timestamp;
use futures::future::join_all;
use runtime::Background;
use test_support::{FaultyBus, TestClock, eventually};

use crate::fixture::{FakeAuth, FakeKeys, START, options, serve, token};

/// A verifier whose checks may take little time, and a bus that gives it the keys and does not let it listen for so
/// many attempts.
async fn over_faulty_bus(listens_to_refuse: usize) -> (Arc<Verifier>, Arc<FaultyBus>) {
    let bus = FaultyBus::new();
    bus.listens_to_refuse.store(listens_to_refuse, Ordering::SeqCst);
    let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(START)));
    let background = Background::new();
    serve(&bus, KEYS_QUEUE, Arc::new(FakeKeys::new()), &background);
    let hasty = VerifierOptions { deadline: Duration::from_millis(100), ..options(&clock) };
    let verifier = Verifier::start(Arc::clone(&bus) as _, hasty, &background).await;
    eventually("the keys are known", || async { verifier.subject(&token(1)).is_some() }).await;
    (verifier, bus)
}

#[tokio::test]
async fn a_check_that_panics_leaves_nobody_waiting() {
    let (verifier, bus) = over_faulty_bus(2).await;
    *bus.panicking_queue.lock().unwrap() = Some(VERIFY_QUEUE);
    for _ in 0..2 {
        let token = token(1);
        for answer in join_all((0..8).map(|_| verifier.verify(&token))).await {
            assert!(matches!(answer, Err(VerifyError::Unavailable(_))), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_bus_that_forgets_a_request_leaves_nobody_waiting() {
    let (verifier, bus) = over_faulty_bus(2).await;
    *bus.silent_queue.lock().unwrap() = Some(VERIFY_QUEUE);
    let unavailable = verifier.verify(&token(1)).await;
    assert!(matches!(unavailable, Err(VerifyError::Unavailable(_))), "{unavailable:?}");
    bus.down.store(true, Ordering::SeqCst);
    assert!(!verifier.is_connected(), "it knows that nobody can be asked");
}

#[tokio::test]
async fn whoever_cannot_listen_to_revocations_yet_asks_about_a_token_each_time() {
    let (verifier, bus) = over_faulty_bus(usize::MAX).await;
    let (auth, background) = (Arc::new(FakeAuth::accepting()), Background::new());
    serve(&bus, VERIFY_QUEUE, Arc::clone(&auth) as _, &background);
    eventually("auth serves", || async { verifier.verify(&token(1)).await.is_ok() }).await;
    auth.asked.store(0, Ordering::SeqCst);
    for _ in 0..2 {
        verifier.verify(&token(1)).await.unwrap();
    }
    assert_eq!(auth.asked.load(Ordering::SeqCst), 2);
    bus.listens_to_refuse.store(0, Ordering::SeqCst);
    eventually("an answer is remembered", || async {
        let before = auth.asked.load(Ordering::SeqCst);
        verifier.verify(&token(1)).await.unwrap();
        auth.asked.load(Ordering::SeqCst) == before
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_was_there_only_after_a_standstill_is_too_late() {
    let (verifier, bus) = over_faulty_bus(2).await;
    let background = Background::new();
    serve(&bus, VERIFY_QUEUE, Arc::new(FakeAuth::accepting()), &background);
    eventually("auth serves", || async { verifier.verify(&token(1)).await.is_ok() }).await;
    // Longer than the deadline and what is allowed beyond it.
    *bus.standstill.lock().unwrap() = Some((VERIFY_QUEUE, Duration::from_millis(700)));
    let late = verifier.verify(&token(2)).await;
    assert!(matches!(late, Err(VerifyError::Unavailable(_))), "{late:?}");
    verifier.verify(&token(2)).await.unwrap();
}
