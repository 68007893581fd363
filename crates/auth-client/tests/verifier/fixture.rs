//! A verifier over the bus within one process, and an auth that does what each test needs.

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
use futures::future::BoxFuture;
use runtime::Background;
use sha2::{Digest, Sha256};
use test_support::{TestClock, eventually};
use tokio::sync::Semaphore;

use crate::signer::{self, Signer};

pub(crate) const START: i64 = 1_800_000_000_000_000;
/// `START` in seconds.
pub(crate) const NOW: i64 = START / 1_000_000;

/// Answers checks according to `judge`, and counts them.
pub(crate) struct FakeAuth {
    judge: Box<dyn Fn(String, usize) -> BoxFuture<'static, Bytes> + Send + Sync>,
    pub(crate) asked: AtomicUsize,
}

impl FakeAuth {
    fn new<F, Fut>(judge: F) -> Self
    where
        F: Fn(String, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        Self {
            judge: Box::new(move |token, number| Box::pin(judge(token, number))),
            asked: AtomicUsize::new(0),
        }
    }

    /// Accepts every token as [`identity_of`] says.
    pub(crate) fn accepting() -> Self {
        Self::new(|token, _| async move { accept(&token) })
    }
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
pub(crate) struct FakeKeys {
    pub(crate) signer: Mutex<Signer>,
    pub(crate) asked: AtomicUsize,
}

impl FakeKeys {
    pub(crate) fn new() -> Self {
        Self { signer: Mutex::new(Signer::new(1)), asked: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Responder for FakeKeys {
    async fn respond(&self, _: Bytes) -> Bytes {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.signer.lock().unwrap().jwks().encode().into()
    }
}

/// Answers requests to `queue` in the `background`.
pub(crate) fn serve(
    bus: &Arc<impl Bus>,
    queue: &'static str,
    responder: Arc<dyn Responder>,
    background: &Background,
) {
    let (bus, stop) = (Arc::clone(bus), background.stop());
    background.spawn("server", async move {
        let options = ResponderOptions { queue_limit: 1_000, concurrency: 256 };
        bus.serve(queue, options, responder, stop).await.unwrap();
    });
}

pub(crate) struct Fixture {
    pub(crate) bus: Arc<InProcessBus>,
    pub(crate) auth: Arc<FakeAuth>,
    pub(crate) keys: Arc<FakeKeys>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) auth_background: Background,
    pub(crate) background: Background,
}

impl Fixture {
    pub(crate) async fn new<F, Fut>(judge: F) -> Self
    where
        F: Fn(String, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        let bus = InProcessBus::new();
        let auth = Arc::new(FakeAuth::new(judge));
        let (background, auth_background) = (Background::new(), Background::new());
        let keys = Arc::new(FakeKeys::new());
        serve(&bus, VERIFY_QUEUE, Arc::clone(&auth) as _, &auth_background);
        serve(&bus, KEYS_QUEUE, Arc::clone(&keys) as _, &auth_background);
        let clock = Arc::new(TestClock::standing_at(Timestamp::from_micros(START)));
        let options = options(&clock);
        let verifier = Verifier::start(Arc::clone(&bus) as _, options, &background).await;
        let fixture = Self { bus, auth, keys, verifier, clock, auth_background, background };
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
    pub(crate) async fn accepting() -> Self {
        Self::new(|token, _| async move { accept(&token) }).await
    }

    pub(crate) async fn verifies_something(&self) -> bool {
        let request = CheckRequest::Token("x.x.warm-up".into()).encode();
        self.bus.request(VERIFY_QUEUE, request, Duration::from_millis(200)).await.is_ok()
    }

    pub(crate) fn asked(&self) -> usize {
        self.auth.asked.load(Ordering::SeqCst)
    }

    pub(crate) async fn revoke(&self, revocation: Revocation) {
        self.bus.broadcast(REVOCATIONS, revocation.encode()).await.unwrap();
    }
}

/// Long deadlines, because the machine may be busy with other tests.
pub(crate) fn options(clock: &Arc<TestClock>) -> VerifierOptions {
    VerifierOptions { deadline: Duration::from_secs(30), clock: Arc::clone(clock) as _ }
}

pub(crate) fn token(number: usize) -> String {
    Signer::new(1).token(number, NOW)
}

/// The identity of the person that the token names.
pub(crate) fn identity_of(token: &str) -> Identity {
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

pub(crate) fn reply(token: &str, verdict: Verdict) -> Bytes {
    CheckReply { token_sha256: hex::encode(Sha256::digest(token)), verdict }.encode()
}

/// Accepts every token that names a person.
pub(crate) fn accept(token: &str) -> Bytes {
    if signer::read(token).is_some() {
        reply(token, Verdict::Accepted(identity_of(token)))
    } else {
        reply(token, Verdict::Rejected(Rejection::Malformed))
    }
}

/// Accepts every token, once `gate` has a permit for it.
pub(crate) async fn held_by(gate: &Arc<Semaphore>) -> Fixture {
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

/// The access token that a request asks about.
pub(crate) fn token_in(request: &[u8]) -> String {
    let token = match CheckRequest::decode(request).unwrap() {
        CheckRequest::Token(token) => Some(token),
        CheckRequest::ProgramToken { .. } => None,
    };
    token.unwrap()
}
