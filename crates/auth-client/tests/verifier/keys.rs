//! Signatures, and the keys that they are checked with.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use auth_client::{KEYS_QUEUE, Rejection, Revocation, VERIFY_QUEUE, Verifier, VerifyError};
use bus::InProcessBus;
use events::Timestamp;
use runtime::Background;
use serde_json::{Value, json};
use test_support::{TestClock, eventually};

use crate::{
    fixture::{FakeAuth, FakeKeys, Fixture, NOW, START, options, serve, token},
    signer::{self, Signer},
};

#[tokio::test]
async fn what_is_not_genuine_is_served_to_nobody_though_the_bus_accepts_it() {
    let fixture = Fixture::accepting().await;
    let (signer, other) = (Signer::new(1), Signer::new(2));
    let good = signer::claims(1, NOW);
    let with = |mut base: Value, name: &str, value: Value| {
        base[name] = value;
        base
    };
    let none = json!({"alg": "none", "typ": "at+jwt", "kid": signer.kid});
    let message = signer::unsigned(&signer.header(), &good);
    let genuine = token(1);
    let (_, signature) = genuine.rsplit_once('.').unwrap();
    let admin = signer::unsigned(&signer.header(), &with(good.clone(), "roles", json!(["admin"])));
    let forged = [
        format!("{}.x", signer::unsigned(&none, &good)),
        signer.sign(&none, &good),
        format!("{message}.AAAA"),
        format!("{admin}.{signature}"),
        other.sign(&signer.header(), &good),
        other.token(1, NOW),
        signer.sign(&with(signer.header(), "jku", json!("https://example.com")), &good),
        signer.sign(&with(signer.header(), "typ", json!("JWT")), &good),
        signer.sign(&signer.header(), &with(good.clone(), "iss", json!("other"))),
        signer.sign(&signer.header(), &with(good.clone(), "aud", json!("other"))),
        signer.sign(&signer.header(), &with(good.clone(), "nbf", json!(NOW + 60))),
        signer.sign(&signer.header(), &with(good.clone(), "iat", json!(NOW + 60))),
    ];
    for token in &forged {
        let refused = fixture.verifier.verify(token).await;
        assert_eq!(refused, Err(VerifyError::Rejected(Rejection::Malformed)), "{token}");
        assert_eq!(fixture.verifier.subject(token), None);
    }
    let expired = signer.sign(&signer.header(), &with(good.clone(), "exp", json!(NOW)));
    let refused = fixture.verifier.verify(&expired).await;
    assert_eq!(refused, Err(VerifyError::Rejected(Rejection::Expired)));
    assert_eq!(fixture.asked(), 0, "junk does not reach the bus");
    assert!(fixture.verifier.verify(&genuine).await.is_ok());
}

#[tokio::test]
async fn while_no_key_was_ever_known_nobody_is_turned_away_for_good() {
    let bus = InProcessBus::new();
    let background = Background::new();
    let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(START)));
    let verifier = Verifier::start(Arc::clone(&bus) as _, options(&clock), &background).await;
    let unknown = verifier.verify(&token(1)).await;
    assert!(matches!(unknown, Err(VerifyError::Unavailable(_))), "{unknown:?}");
    let junk = verifier.verify("a.b.c").await;
    assert_eq!(junk, Err(VerifyError::Rejected(Rejection::Malformed)));
    serve(&bus, KEYS_QUEUE, Arc::new(FakeKeys::new()), &background);
    serve(&bus, VERIFY_QUEUE, Arc::new(FakeAuth::accepting()), &background);
    eventually("the keys are learned", async || verifier.verify(&token(1)).await.is_ok()).await;
    background.stop().cancel();
}

#[tokio::test]
async fn a_new_key_is_learned_and_made_up_ones_are_not_asked_for_each_time() {
    let fixture = Fixture::accepting().await;
    let before = fixture.keys.asked.load(Ordering::SeqCst);
    for number in 0..200 {
        let mut header = Signer::new(2).header();
        header["kid"] = json!(format!("made-up-{number}"));
        let junk = Signer::new(2).sign(&header, &signer::claims(1, NOW));
        let refused = fixture.verifier.verify(&junk).await;
        assert_eq!(refused, Err(VerifyError::Rejected(Rejection::Malformed)));
    }
    assert!(fixture.keys.asked.load(Ordering::SeqCst) <= before + 2);
    *fixture.keys.signer.lock().unwrap() = Signer::new(2);
    eventually("the new key is learned", || async {
        fixture.verifier.verify(&Signer::new(2).token(1, NOW)).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn what_a_key_that_was_taken_away_has_signed_is_refused_though_it_is_remembered() {
    let fixture = Fixture::accepting().await;
    fixture.verifier.verify(&token(1)).await.unwrap();
    *fixture.keys.signer.lock().unwrap() = Signer::new(2);
    assert!(fixture.verifier.verify(&token(1)).await.is_ok(), "nobody has said so yet");
    fixture.revoke(Revocation::Keys).await;
    // Well before the keys are asked for without a reason, and before an answer runs out: the clock stands still.
    let refused = async || {
        eventually("its tokens are refused", || async {
            fixture.verifier.verify(&token(1)).await == Err(VerifyError::Rejected(Rejection::Malformed))
        })
        .await;
    };
    tokio::time::timeout(Duration::from_secs(5), refused()).await.unwrap();
    assert_eq!(fixture.verifier.subject(&token(1)), None);
}

#[tokio::test]
async fn a_set_of_keys_that_lacks_one_makes_what_is_remembered_worthless() {
    let fixture = Fixture::accepting().await;
    fixture.verifier.verify(&token(1)).await.unwrap();
    *fixture.keys.signer.lock().unwrap() = Signer::new(2);
    // The broadcast was lost, and the keys are requested because a token names the new key.
    eventually("the new key is learned", || async {
        fixture.verifier.verify(&Signer::new(2).token(2, NOW)).await.is_ok()
    })
    .await;
    assert_eq!(fixture.verifier.verify(&token(1)).await, Err(VerifyError::Rejected(Rejection::Malformed)));
}
