//! Checks tokens with auth's public keys, then asks auth over the bus about those with a valid signature. Concurrent
//! checks of one token share a request, and answers are cached briefly.

use std::{sync::Arc, time::Duration};

use bus::{Bus, Heard};
use dashmap::{DashMap, Entry};
use events::{Timestamp, Traceparent, UserId};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use runtime::{Background, LogLimit, Rounds};
use tokio::sync::Semaphore;

use crate::{
    ask_auth::ask_auth,
    cache::{Cache, Epoch},
    check::VerifyError,
    check_metrics::{self, Source, counted},
    claims::{Claims, ISSUER, TokenRules, key_id},
    known_keys::{KnownKeys, NoKey},
    messages::{
        CheckReply, CheckRequest, Credential, Identity, REVOCATIONS, Rejection, Revocation, Traced,
        VERIFY_QUEUE, Verdict,
    },
    refusals::Refusals,
    token::{TokenHash, program_token_name},
    verifier_options::VerifierOptions,
};

/// The most answers that are cached.
const MAX_ANSWERS: usize = 100_000;
/// How long an answer is cached at most.
const ANSWER_TTL: Duration = Duration::from_secs(30);
/// How often expired answers are removed.
const TIDY_INTERVAL: Duration = Duration::from_secs(15);
/// The pause between attempts to subscribe to revocations for the first time.
const LISTEN_INTERVAL: Duration = Duration::from_millis(500);
/// How often a check is repeated because a revocation arrived meanwhile.
const ATTEMPTS: usize = 3;

/// The most checks of program tokens at the same time. Only auth can recognise an invented one, so they must not
/// displace the checks of logins.
const PROGRAM_TOKENS_AT_ONCE: usize = 32;

/// Checks tokens over the bus and caches the answers.
pub(crate) struct Remote {
    bus: Arc<dyn Bus>,
    options: VerifierOptions,
    cache: Arc<Cache>,
    refusals: Refusals,
    rules: TokenRules,
    keys: KnownKeys,
    /// The checks under way.
    pending: DashMap<TokenHash, PendingCheck>,
    program_tokens: Semaphore,
}

/// What a token is, as far as this process can decide.
#[derive(Clone)]
enum TokenKind {
    /// An access token with a valid signature.
    Access(Box<Claims>),
    /// A text that may be the program token with this name.
    MaybeProgram(String),
}

/// The result of a check, and the epoch when it was sent.
type Answer = Result<(Arc<Identity>, Epoch), VerifyError>;
type PendingCheck = Shared<BoxFuture<'static, Answer>>;

impl Remote {
    /// Subscribes to revocations, in the `background`.
    pub(crate) async fn start(
        bus: Arc<dyn Bus>,
        options: VerifierOptions,
        background: &Background,
    ) -> Arc<Self> {
        check_metrics::show();
        let cache = Arc::new(Cache::new(MAX_ANSWERS, ANSWER_TTL, options.deadline));
        let remote = Arc::new(Self {
            refusals: Refusals::default(),
            rules: TokenRules::new(ISSUER, ISSUER),
            keys: KnownKeys::new(Arc::clone(&bus), options.deadline, Arc::clone(&cache)),
            cache,
            bus,
            options,
            pending: DashMap::new(),
            program_tokens: Semaphore::new(PROGRAM_TOKENS_AT_ONCE),
        });
        let first = remote.bus.listen(REVOCATIONS).await;
        let listening = Arc::clone(&remote);
        background.spawn_until_stopped("revocations and keys", async move {
            tokio::select! {
                () = listening.apply_revocations(first) => {}
                () = listening.keys.keep_up() => {}
            }
        });
        let tidying = Arc::clone(&remote);
        let mut rounds = Rounds::every(TIDY_INTERVAL, background.stop()).after_a_pause();
        background.spawn("expired answers about tokens", async move {
            while rounds.next().await {
                tidying.tidy();
            }
        });
        remote
    }

    /// The number of cached answers.
    pub(crate) fn remembered(&self) -> usize {
        self.cache.len()
    }

    /// The identity of the token's owner.
    pub(crate) async fn verify(self: &Arc<Self>, token: &str) -> Result<Arc<Identity>, VerifyError> {
        let hash = TokenHash::of(token);
        let now = self.options.clock.now();
        if let Some(identity) = self.cache.get(hash, now) {
            return counted(Source::Memory, Ok(identity));
        }
        if let Some(rejection) = self.refusals.get(hash, now) {
            return counted(Source::Memory, Err(rejection.into()));
        }
        let kind = match program_token_name(token) {
            Some(name) => TokenKind::MaybeProgram(name.to_owned()),
            None => match self.claims(token, now).await {
                Ok(claims) => TokenKind::Access(Box::new(claims)),
                Err(error) => return counted(Source::Keys, Err(error)),
            },
        };
        counted(Source::Auth, self.asked(hash, token, &kind).await)
    }

    /// The answer of auth about the token, which is current at the end of the call.
    async fn asked(
        self: &Arc<Self>,
        hash: TokenHash,
        token: &str,
        kind: &TokenKind,
    ) -> Result<Arc<Identity>, VerifyError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            if let Some(identity) = self.cache.get(hash, self.options.clock.now()) {
                return Ok(identity);
            }
            let (identity, asked) = self.join_or_start(hash, token, kind).await?;
            if self.cache.is_current(&identity, asked) {
                return Ok(identity);
            }
            // A revocation arrived meanwhile: this answer may be older than it.
            last = Some(identity);
        }
        // Revocations keep arriving. The last check was sent after this call began, so its answer is used, but not
        // cached.
        last.ok_or_else(|| VerifyError::Unavailable("no answer".to_owned()))
    }

    /// The claims of the token, if it has a valid signature and is valid now.
    async fn claims(&self, token: &str, now: Timestamp) -> Result<Claims, VerifyError> {
        let kid = key_id(token)?;
        match self.keys.get(&kid).await {
            Ok(key) => Ok(self.rules.verify(token, &key, now)?),
            Err(NoKey::Unknown) => Err(Rejection::Malformed.into()),
            Err(NoKey::Unavailable(reason)) => Err(VerifyError::Unavailable(reason)),
        }
    }

    /// The person of a token, according to its signature and times.
    pub(crate) fn subject(&self, token: &str) -> Option<UserId> {
        // Checking the shape first is cheaper than verifying a signature.
        let now = self.options.clock.now();
        if let Some(identity) = self.cache.get(TokenHash::of(token), now) {
            return Some(identity.user_id);
        }
        let key = self.keys.known(&key_id(token).ok()?)?;
        let claims = self.rules.verify(token, &key, now);
        claims.ok().map(|claims| claims.sub)
    }

    /// The person of a token, according to its signature alone. Only auth knows the owner of a program token.
    pub(crate) fn owner(&self, token: &str) -> Option<UserId> {
        let key = self.keys.known(&key_id(token).ok()?)?;
        self.rules.genuine(token, &key).ok().map(|claims| claims.sub)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }

    /// Joins the check of this token that is under way, or starts one.
    fn join_or_start(self: &Arc<Self>, hash: TokenHash, token: &str, kind: &TokenKind) -> PendingCheck {
        match self.pending.entry(hash) {
            Entry::Occupied(check) => check.get().clone(),
            Entry::Vacant(vacant) => {
                // Between the look into the cache and this line an earlier check may have ended.
                let asked = self.cache.epoch();
                if let Some(identity) = self.cache.get(hash, self.options.clock.now()) {
                    return futures::future::ready(Ok((identity, asked))).boxed().shared();
                }
                let remote = Arc::clone(self);
                let (token, kind) = (token.to_owned(), kind.clone());
                let traceparent = http_api::current_traceparent();
                // A separate task: if the first caller disconnects, the others still get the answer.
                let task = runtime::spawn("token check", async move {
                    let _guard = PendingGuard { remote: &remote, hash };
                    remote.ask(hash, token, &kind, traceparent).await
                });
                let check = task.map(|joined| {
                    joined.unwrap_or_else(|_| Err(VerifyError::Unavailable("the check broke off".to_owned())))
                });
                vacant.insert(check.boxed().shared()).value().clone()
            }
        }
    }

    /// Asks auth, and caches a positive answer.
    async fn ask(
        &self,
        hash: TokenHash,
        token: String,
        kind: &TokenKind,
        traceparent: Option<Traceparent>,
    ) -> Answer {
        let deadline = self.options.deadline;
        let (message, _permit) = match kind {
            TokenKind::Access(_) => (CheckRequest::Token(token), None),
            TokenKind::MaybeProgram(name) => {
                let permit = tokio::time::timeout(deadline, self.program_tokens.acquire());
                let message = CheckRequest::ProgramToken { name: name.clone(), token_sha256: hash.to_hex() };
                (message, Some(permit.await.map_err(unavailable)?))
            }
        };
        let (asked, sent) = (self.cache.epoch(), self.options.clock.now());
        let request = Traced { message, traceparent }.encode();
        let reply = ask_auth(&*self.bus, VERIFY_QUEUE, request, deadline).await;
        let reply = reply.map_err(VerifyError::Unavailable)?;
        let reply = CheckReply::decode(&reply).map_err(unavailable)?;
        if reply.token_sha256 != hash.to_hex() {
            tracing::error!("a token check was answered with the reply to another");
            return Err(VerifyError::Unavailable("the reply belongs to another check".to_owned()));
        }
        let now = self.options.clock.now();
        match reply.verdict {
            Verdict::Accepted(identity) if !kind.may_be(&identity) => {
                tracing::error!("a token check was answered with an identity that the token does not name");
                Err(VerifyError::Unavailable("the reply names somebody else".to_owned()))
            }
            Verdict::Accepted(identity) if identity.expires_at <= now => Err(Rejection::Expired.into()),
            Verdict::Accepted(mut identity) => {
                if let TokenKind::Access(claims) = kind {
                    identity.expires_at = identity.expires_at.min(claims.expires_at());
                }
                let identity = Arc::new(identity);
                // It may be as old as the request.
                self.cache.put(hash, Arc::clone(&identity), asked, sent);
                Ok((identity, asked))
            }
            Verdict::Rejected(rejection) => {
                self.refusals.put(hash, rejection, now);
                Err(rejection.into())
            }
            Verdict::Unavailable => Err(VerifyError::Unavailable("auth cannot tell now".to_owned())),
            Verdict::Failed => Err(VerifyError::Failed),
        }
    }

    async fn apply_revocations(&self, mut attempt: Result<Box<dyn bus::Listener>, bus::BusError>) {
        let mut failures = LogLimit::default();
        let mut listener = loop {
            match attempt {
                Ok(listener) => break listener,
                Err(error) => {
                    if let Some(count) = failures.count(1) {
                        tracing::warn!(count, %error, "cannot listen to revocations yet: asking about each token");
                    }
                }
            }
            tokio::time::sleep(LISTEN_INTERVAL).await;
            attempt = self.bus.listen(REVOCATIONS).await;
        };
        self.cache.listens();
        loop {
            match listener.next().await {
                Heard::Interrupted => self.cache.stops_listening(),
                Heard::Gap => self.cache.listens(),
                Heard::Message(bytes) => match Revocation::decode(&bytes) {
                    Ok(revocation) => {
                        self.cache.revoke(revocation, self.options.clock.now());
                        if revocation == Revocation::Keys {
                            self.keys.renew_soon();
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a revocation cannot be read; forgetting every checked token");
                        self.cache.clear();
                    }
                },
            }
        }
    }

    fn tidy(&self) {
        self.cache.tidy(self.options.clock.now());
        self.refusals.tidy(self.options.clock.now());
    }
}

impl TokenKind {
    /// Whether the token can belong to `identity`, according to its claims.
    fn may_be(&self, identity: &Identity) -> bool {
        match (self, &identity.credential) {
            (Self::Access(claims), Credential::Session(session)) => {
                identity.user_id == claims.sub && *session == claims.sid
            }
            (Self::MaybeProgram(_), Credential::ProgramToken { .. }) => true,
            (Self::Access(_), Credential::ProgramToken { .. })
            | (Self::MaybeProgram(_), Credential::Session(_)) => false,
        }
    }
}

/// Removes a check from those under way when it ends in any way.
struct PendingGuard<'a> {
    remote: &'a Remote,
    hash: TokenHash,
}

impl Drop for PendingGuard<'_> {
    fn drop(&mut self) {
        self.remote.pending.remove(&self.hash);
    }
}

fn unavailable(error: impl std::fmt::Display) -> VerifyError {
    VerifyError::Unavailable(error.to_string())
}
