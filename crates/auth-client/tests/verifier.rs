//! The verifier over the bus within one process, with an auth that does what each test needs.

#![expect(
    clippy::disallowed_methods,
    reason = "tests make ids and start tasks as they like"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod signer;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use auth_client::{
    Credential, Identity, KEYS_QUEUE, REVOCATIONS, Rejection, Revocation, VERIFY_QUEUE, Verifier,
    VerifierOptions, VerifyError,
    messages::{CheckReply, CheckRequest, Verdict},
};
use bus::{Bus, InProcessBus, Responder, ResponderOptions};
use bytes::Bytes;
use events::{Role, SessionId, Timestamp, UserId};
use futures::future::{BoxFuture, join_all};
use runtime::Background;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signer::Signer;
use test_support::{FaultyBus, TestClock, eventually};
use tokio::sync::Semaphore;

const START: i64 = 1_800_000_000_000_000;

/// Answers checks according to `judge`, and counts them.
struct FakeAuth {
    judge: Box<dyn Fn(String, usize) -> BoxFuture<'static, Bytes> + Send + Sync>,
    asked: AtomicUsize,
}

#[async_trait]
impl Responder for FakeAuth {
    async fn respond(&self, request: Bytes) -> Bytes {
        let token = token_in(&request);
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        (self.judge)(token, number).await
    }
}

/// Answers requests for the public keys, and counts them.
struct FakeKeys {
    signer: Mutex<Signer>,
    asked: AtomicUsize,
}

#[async_trait]
impl Responder for FakeKeys {
    async fn respond(&self, _: Bytes) -> Bytes {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.signer.lock().unwrap().jwks().encode().into()
    }
}

/// Answers requests to `queue` in the `background`.
fn serve(bus: &Arc<impl Bus>, queue: &'static str, responder: Arc<dyn Responder>, background: &Background) {
    let (bus, stop) = (Arc::clone(bus), background.stop());
    background.spawn("server", async move {
        let options = ResponderOptions {
            queue_limit: 1_000,
            concurrency: 256,
        };
        bus.serve(queue, options, responder, stop).await.unwrap();
    });
}

struct Fixture {
    bus: Arc<InProcessBus>,
    auth: Arc<FakeAuth>,
    keys: Arc<FakeKeys>,
    verifier: Arc<Verifier>,
    clock: Arc<TestClock>,
    auth_background: Background,
    background: Background,
}

impl Fixture {
    async fn new<F, Fut>(judge: F) -> Self
    where
        F: Fn(String, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        let bus = InProcessBus::new();
        let auth = Arc::new(FakeAuth {
            judge: Box::new(move |token, number| Box::pin(judge(token, number))),
            asked: AtomicUsize::new(0),
        });
        let (background, auth_background) = (Background::new(), Background::new());
        let keys = Arc::new(FakeKeys {
            signer: Mutex::new(Signer::new(1)),
            asked: AtomicUsize::new(0),
        });
        serve(&bus, VERIFY_QUEUE, Arc::clone(&auth) as _, &auth_background);
        serve(&bus, KEYS_QUEUE, Arc::clone(&keys) as _, &auth_background);
        let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(START)));
        let options = options(&clock);
        let verifier = Verifier::start(Arc::clone(&bus) as _, options, &background).await;
        let fixture = Self {
            bus,
            auth,
            keys,
            verifier,
            clock,
            auth_background,
            background,
        };
        eventually("auth serves", || fixture.verifies_something()).await;
        eventually("the keys are known", || async {
            !matches!(
                fixture.verifier.verify(&Signer::new(9).token(0, NOW)).await,
                Err(VerifyError::Unavailable(_))
            )
        })
        .await;
        fixture.auth.asked.store(0, Ordering::SeqCst);
        fixture
    }

    /// An auth that accepts every token as [`identity_of`] says.
    async fn accepting() -> Self {
        Self::new(|token, _| async move { accept(&token) }).await
    }

    async fn verifies_something(&self) -> bool {
        let request = CheckRequest::Token("x.x.warm-up".into()).encode();
        self.bus
            .request(VERIFY_QUEUE, request, Duration::from_millis(200))
            .await
            .is_ok()
    }

    fn asked(&self) -> usize {
        self.auth.asked.load(Ordering::SeqCst)
    }

    async fn revoke(&self, revocation: Revocation) {
        self.bus
            .broadcast(REVOCATIONS, revocation.encode())
            .await
            .unwrap();
    }
}

/// Long deadlines, because the machine may be busy with other tests.
fn options(clock: &Arc<TestClock>) -> VerifierOptions {
    VerifierOptions {
        deadline: Duration::from_secs(30),
        clock: Arc::clone(clock) as _,
        ..VerifierOptions::default()
    }
}

/// `START` in seconds.
const NOW: i64 = START / 1_000_000;

fn token(number: usize) -> String {
    Signer::new(1).token(number, NOW)
}

/// The identity of the person that the token names.
fn identity_of(token: &str) -> Identity {
    let claims = signer::read(token).unwrap();
    let text = |name: &str| claims[name].as_str().unwrap();
    Identity {
        user_id: text("sub").parse::<UserId>().unwrap(),
        credential: Credential::Session(text("sid").parse::<SessionId>().unwrap()),
        email: text("email").to_owned(),
        roles: BTreeSet::from([Role::User]),
        expires_at: Timestamp::from_micros(START + 900_000_000),
    }
}

fn reply(token: &str, verdict: Verdict) -> Bytes {
    CheckReply {
        token_sha256: hex::encode(Sha256::digest(token)),
        verdict,
    }
    .encode()
}

/// Accepts every token that names a person.
fn accept(token: &str) -> Bytes {
    if signer::read(token).is_some() {
        reply(token, Verdict::Accepted(identity_of(token)))
    } else {
        reply(token, Verdict::Rejected(Rejection::Malformed))
    }
}

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

/// Accepts every token, once `gate` has a permit for it.
async fn held_by(gate: &Arc<Semaphore>) -> Fixture {
    let gate = Arc::clone(gate);
    Fixture::new(move |token, _| {
        let gate = Arc::clone(&gate);
        async move {
            if token != "x.x.warm-up" {
                gate.acquire().await.unwrap().forget();
            }
            accept(&token)
        }
    })
    .await
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
async fn rejections_are_told_apart_and_remembered_for_a_second() {
    for rejection in [Rejection::Malformed, Rejection::Expired, Rejection::SessionEnded] {
        let fixture =
            Fixture::new(move |token, _| async move { reply(&token, Verdict::Rejected(rejection)) }).await;
        for _ in 0..3 {
            assert_eq!(
                fixture.verifier.verify(&token(1)).await,
                Err(VerifyError::Rejected(rejection))
            );
        }
        assert_eq!(fixture.asked(), 1);
        fixture.clock.advance(1);
        assert_eq!(
            fixture.verifier.verify(&token(1)).await,
            Err(VerifyError::Rejected(rejection))
        );
        assert_eq!(fixture.asked(), 2);
    }
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
    for text in [
        "",
        "x",
        "a.b",
        "a.b.c.d",
        "a.b.ü",
        &format!("a.b.{}", "c".repeat(4096)),
    ] {
        let malformed = Err(VerifyError::Rejected(Rejection::Malformed));
        assert_eq!(fixture.verifier.verify(text).await, malformed, "{text}");
    }
    assert_eq!(fixture.asked(), 0);
}

#[tokio::test]
async fn a_revocation_forgets_its_session_or_account() {
    let fixture = Fixture::accepting().await;
    let (one, two) = (identity_of(&token(1)), identity_of(&token(2)));
    for (revocation, asked) in [
        (Revocation::Session(one.credential.session().unwrap()), 3),
        (Revocation::Account(two.user_id), 4),
    ] {
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
    fixture
        .revoke(Revocation::Session(
            identity_of(&token(1)).credential.session().unwrap(),
        ))
        .await;
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
async fn without_auth_remembered_tokens_go_on_working() {
    let fixture = Fixture::accepting().await;
    fixture.verifier.verify(&token(1)).await.unwrap();
    fixture.auth_background.stop().cancel();
    eventually("auth is gone", || async { !fixture.verifies_something().await }).await;
    assert!(fixture.verifier.verify(&token(1)).await.is_ok());
    assert!(matches!(
        fixture.verifier.verify(&token(2)).await,
        Err(VerifyError::Unavailable(_))
    ));
    fixture.clock.advance(30);
    assert!(matches!(
        fixture.verifier.verify(&token(1)).await,
        Err(VerifyError::Unavailable(_))
    ));
}

#[tokio::test]
async fn auth_that_cannot_tell_or_talks_nonsense_is_unavailable() {
    let fixture = Fixture::new(|token, number| async move {
        if number % 2 == 0 {
            reply(&token, Verdict::Unavailable)
        } else {
            Bytes::from_static(b"nonsense")
        }
    })
    .await;
    for _ in 0..4 {
        assert!(matches!(
            fixture.verifier.verify(&token(1)).await,
            Err(VerifyError::Unavailable(_))
        ));
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_none() {
    let gate = Arc::new(Semaphore::new(0));
    let fixture = held_by(&gate).await;
    let hasty = VerifierOptions {
        deadline: Duration::from_millis(100),
        ..options(&fixture.clock)
    };
    let hasty = Verifier::start(Arc::clone(&fixture.bus) as _, hasty, &fixture.background).await;
    let late = hasty.verify(&token(1)).await;
    assert!(matches!(late, Err(VerifyError::Unavailable(_))), "{late:?}");
    assert_eq!(hasty.remembered(), 0);
    // Whether the first check still waits for a permit depends on the bus.
    gate.add_permits(2);
    eventually("the next check is answered", || async {
        hasty
            .verify(&token(1))
            .await
            .is_ok_and(|identity| *identity == identity_of(&token(1)))
    })
    .await;
}

#[tokio::test]
async fn stopping_ends_the_background_work() {
    let fixture = Fixture::accepting().await;
    for background in [&fixture.background, &fixture.auth_background] {
        assert!(
            background.shut_down(Duration::from_secs(10)).await,
            "the tasks end"
        );
    }
}

/// A verifier whose checks may take little time, and a bus that gives it the keys and lets it listen at the third try only.
async fn over_faulty_bus() -> (Arc<Verifier>, Arc<FaultyBus>) {
    let bus = FaultyBus::new();
    bus.listens_to_refuse.store(2, Ordering::SeqCst);
    let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(START)));
    let background = Background::new();
    let keys = FakeKeys {
        signer: Mutex::new(Signer::new(1)),
        asked: AtomicUsize::new(0),
    };
    serve(&bus, KEYS_QUEUE, Arc::new(keys), &background);
    let hasty = VerifierOptions {
        deadline: Duration::from_millis(100),
        ..options(&clock)
    };
    let verifier = Verifier::start(Arc::clone(&bus) as _, hasty, &background).await;
    eventually("the keys are known", || async {
        verifier.subject(&token(1)).is_some()
    })
    .await;
    (verifier, bus)
}

#[tokio::test]
async fn a_check_that_panics_leaves_nobody_waiting() {
    let (verifier, bus) = over_faulty_bus().await;
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
    let (verifier, bus) = over_faulty_bus().await;
    *bus.silent_queue.lock().unwrap() = Some(VERIFY_QUEUE);
    let unavailable = verifier.verify(&token(1)).await;
    assert!(
        matches!(unavailable, Err(VerifyError::Unavailable(_))),
        "{unavailable:?}"
    );
    bus.down.store(true, Ordering::SeqCst);
    assert!(!verifier.is_connected(), "it knows that nobody can be asked");
}

#[tokio::test]
async fn a_bus_that_cannot_be_listened_to_yet_is_tried_again() {
    let (_verifier, bus) = over_faulty_bus().await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while bus.listens.load(Ordering::SeqCst) < 3 {
        assert!(tokio::time::Instant::now() < deadline, "it keeps trying");
        tokio::task::yield_now().await;
    }
}

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
        assert_eq!(
            refused,
            Err(VerifyError::Rejected(Rejection::Malformed)),
            "{token}"
        );
        assert_eq!(fixture.verifier.subject(token), None);
    }
    let expired = signer.sign(&signer.header(), &with(good.clone(), "exp", json!(NOW)));
    let refused = fixture.verifier.verify(&expired).await;
    assert_eq!(refused, Err(VerifyError::Rejected(Rejection::Expired)));
    assert_eq!(fixture.asked(), 0, "junk does not reach the bus");
    assert!(fixture.verifier.verify(&genuine).await.is_ok());
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
async fn while_no_key_was_ever_known_nobody_is_turned_away_for_good() {
    let bus = InProcessBus::new();
    let background = Background::new();
    let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(START)));
    let verifier = Verifier::start(Arc::clone(&bus) as _, options(&clock), &background).await;
    let unknown = verifier.verify(&token(1)).await;
    assert!(matches!(unknown, Err(VerifyError::Unavailable(_))), "{unknown:?}");
    let junk = verifier.verify("a.b.c").await;
    assert_eq!(junk, Err(VerifyError::Rejected(Rejection::Malformed)));
    let keys = FakeKeys {
        signer: Mutex::new(Signer::new(1)),
        asked: AtomicUsize::new(0),
    };
    let auth = FakeAuth {
        judge: Box::new(|token, _| Box::pin(async move { accept(&token) })),
        asked: AtomicUsize::new(0),
    };
    serve(&bus, KEYS_QUEUE, Arc::new(keys), &background);
    serve(&bus, VERIFY_QUEUE, Arc::new(auth), &background);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while verifier.verify(&token(1)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the keys are learned");
        tokio::task::yield_now().await;
    }
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
        fixture
            .verifier
            .verify(&Signer::new(2).token(1, NOW))
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn what_a_key_that_was_taken_away_has_signed_is_refused_though_it_is_remembered() {
    let fixture = Fixture::accepting().await;
    fixture.verifier.verify(&token(1)).await.unwrap();
    *fixture.keys.signer.lock().unwrap() = Signer::new(2);
    assert!(
        fixture.verifier.verify(&token(1)).await.is_ok(),
        "nobody has said so yet"
    );
    fixture.revoke(Revocation::Keys).await;
    // Well before the keys are asked for without a reason, and before an answer runs out: the clock stands still.
    let refused = async || {
        eventually("its tokens are refused", || async {
            fixture.verifier.verify(&token(1)).await == Err(VerifyError::Rejected(Rejection::Malformed))
        })
        .await;
    };
    tokio::time::timeout(Duration::from_secs(5), refused())
        .await
        .unwrap();
    assert_eq!(fixture.verifier.subject(&token(1)), None);
}

#[tokio::test]
async fn a_set_of_keys_that_lacks_one_makes_what_is_remembered_worthless() {
    let fixture = Fixture::accepting().await;
    fixture.verifier.verify(&token(1)).await.unwrap();
    *fixture.keys.signer.lock().unwrap() = Signer::new(2);
    // The broadcast was lost, and the keys are requested because a token names the new key.
    eventually("the new key is learned", || async {
        fixture
            .verifier
            .verify(&Signer::new(2).token(2, NOW))
            .await
            .is_ok()
    })
    .await;
    assert_eq!(
        fixture.verifier.verify(&token(1)).await,
        Err(VerifyError::Rejected(Rejection::Malformed))
    );
}

#[tokio::test]
async fn whom_a_genuine_token_names_is_known_without_auth() {
    let fixture = Fixture::accepting().await;
    fixture.auth_background.stop().cancel();
    assert_eq!(
        fixture.verifier.subject(&token(1)),
        Some(identity_of(&token(1)).user_id)
    );
    fixture.clock.advance(900);
    assert_eq!(fixture.verifier.subject(&token(1)), None);
}

#[tokio::test]
async fn a_gap_in_the_broadcasts_makes_tokens_asked_again() {
    let fixture = Fixture::accepting().await;
    let bus = FaultyBus::over(Arc::clone(&fixture.bus) as _);
    let verifier = Verifier::start(
        Arc::clone(&bus) as _,
        options(&fixture.clock),
        &fixture.background,
    )
    .await;
    eventually("the keys are known", || async {
        verifier.verify(&token(1)).await.is_ok()
    })
    .await;
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

/// The access token that a request asks about.
fn token_in(request: &[u8]) -> String {
    let token = match CheckRequest::decode(request).unwrap() {
        CheckRequest::Token(token) => Some(token),
        CheckRequest::ProgramToken { .. } => None,
    };
    token.unwrap()
}
