//! What the endpoints share: finding accounts, ending sessions, issuing tokens.

use std::{sync::Arc, time::Duration};

use auth_client::{REVOCATIONS, Revocation};
use bus::Bus;
use database::Database;
use events::{
    Account, AccountEvent, ConsistencyToken, EndReason, PartitionCount, Session, SessionId, Timestamp, UserId,
};
use futures::{StreamExt, TryStreamExt, stream};
use prometheus::IntCounterVec;
use service::{Clock, Metrics, new_id};

use crate::{
    domain::{self, Claim, EmailAddress, Refusal},
    error::{CommandError, Failure},
    keys::Pepper,
    ledger::{Cause, Done, Ledger, Loaded},
    password::Hasher,
    sessions::{LiveSession, live_sessions},
    token::{AccessTokens, Issued},
};

/// How long an answer waits for a revocation to go out.
const BROADCAST_PATIENCE: Duration = Duration::from_secs(1);
/// How many sessions are ended at once.
const ENDINGS_AT_ONCE: usize = 16;

/// Everything that the endpoints need.
pub(crate) struct Auth {
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hasher: Hasher,
    pub(crate) tokens: AccessTokens,
    pub(crate) pepper: Pepper,
    pub(crate) refresh_ttl_seconds: i64,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) read_models: Database,
    pub(crate) partitions: PartitionCount,
    pub(crate) counters: Counters,
}

/// What auth counts.
pub(crate) struct Counters {
    logins: IntCounterVec,
    checks: IntCounterVec,
    ended_sessions: IntCounterVec,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counters = |name, help, label| metrics.counter_vec(name, help, &[label]);
        Self {
            logins: counters("taskledger_auth_logins_total", "Logins by outcome.", "outcome"),
            checks: counters(
                "taskledger_auth_token_checks_total",
                "Token checks by verdict.",
                "verdict",
            ),
            ended_sessions: counters(
                "taskledger_auth_ended_sessions_total",
                "Ended sessions by reason.",
                "reason",
            ),
        }
    }

    pub(crate) fn login(&self, outcome: &str) {
        self.logins.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn check(&self, verdict: &str) {
        self.checks.with_label_values(&[verdict]).inc();
    }
}

/// Which of an account's sessions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Every one.
    All,
    /// Every one but this.
    AllBut(SessionId),
}

impl Auth {
    /// The account that registered `email`, unless it has been erased.
    pub(crate) async fn account_of(&self, email: &EmailAddress) -> Result<Option<Account>, Failure> {
        let claim: Loaded<Claim> = self.ledger.load(&self.pepper.key_of(email)).await?;
        let Some(holder) = claim.state.and_then(|claim| claim.holder) else {
            return Ok(None);
        };
        let account: Loaded<Account> = self.ledger.load(&holder).await?;
        Ok(account.state.filter(|account| !account.erased))
    }

    /// Decides about the account `id` and appends; returns the account and the position in the log.
    pub(crate) async fn change_account(
        &self,
        id: UserId,
        cause: &Cause,
        mut decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<(Account, Done<(), ()>), CommandError> {
        let done = self
            .ledger
            .execute::<Account, ()>(&id, id, cause, |account, _| Ok((decide(account)?, ())))
            .await?;
        let Done {
            state,
            position,
            changed,
            told,
        } = done;
        let account = state.ok_or(Refusal::AccountIsUnknown)?;
        Ok((
            account,
            Done {
                state: None,
                position,
                changed,
                told,
            },
        ))
    }

    /// Ends one session of `account`, unless it has ended, and tells everyone.
    pub(crate) async fn end_session(
        &self,
        session: SessionId,
        account: UserId,
        reason: EndReason,
        cause: &Cause,
    ) -> Result<u64, CommandError> {
        let done = self.append_end(session, account, reason, cause).await?;
        if done.changed {
            self.revoke(Revocation::Session(session)).await;
        }
        Ok(done.position)
    }

    /// Ends the live sessions of `account` and tells everyone. Returns the position in the log of the last
    /// event about them.
    pub(crate) async fn end_sessions(
        &self,
        account: UserId,
        which: Which,
        reason: EndReason,
        cause: &Cause,
    ) -> Result<u64, CommandError> {
        let (live, shown) = self.live_sessions(account).await?;
        let meant = live
            .into_iter()
            .map(|session| session.id)
            .filter(|id| which != Which::AllBut(*id));
        let ended = stream::iter(meant)
            .map(|id| async move {
                self.append_end(id, account, reason, cause)
                    .await
                    .map(|done| (id, done.position))
            })
            .buffer_unordered(ENDINGS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await;
        // Whatever has ended is told, also when the rest could not be.
        match which {
            Which::All => self.revoke(Revocation::Account(account)).await,
            Which::AllBut(_) => {
                for (id, _) in ended.iter().flatten() {
                    self.revoke(Revocation::Session(*id)).await;
                }
            }
        }
        Ok(ended?
            .into_iter()
            .map(|(_, position)| position)
            .fold(shown, u64::max))
    }

    async fn append_end(
        &self,
        session: SessionId,
        account: UserId,
        reason: EndReason,
        cause: &Cause,
    ) -> Result<Done<Session, ()>, CommandError> {
        let decide = |session: Option<&Session>, _: Timestamp| {
            Ok((domain::session::end(session, account, reason)?, ()))
        };
        let done = self
            .ledger
            .execute::<Session, ()>(&session, account, cause, decide)
            .await?;
        if done.changed {
            self.counters
                .ended_sessions
                .with_label_values(&[name_of(reason)])
                .inc();
        }
        Ok(done)
    }

    /// The live sessions of `account`, the newest first, and the position in the log that they show.
    pub(crate) async fn live_sessions(&self, account: UserId) -> Result<(Vec<LiveSession>, u64), Failure> {
        let now = self.clock.now();
        live_sessions(
            &self.read_models,
            self.ledger.store(),
            self.partitions,
            account,
            now,
        )
        .await
    }

    /// Tells everyone who remembers checked tokens. If that fails they find out within 30 seconds.
    pub(crate) async fn revoke(&self, revocation: Revocation) {
        let sent = self.bus.broadcast(REVOCATIONS, revocation.encode());
        match tokio::time::timeout(BROADCAST_PATIENCE, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, ?revocation, "a revocation was not broadcast"),
            Err(_) => tracing::warn!(?revocation, "a revocation was not broadcast in time"),
        }
    }

    /// An access token for `account` in the session `id` that ends at `session_ends`.
    pub(crate) fn issue(
        &self,
        account: &Account,
        id: SessionId,
        session_ends: Timestamp,
    ) -> Result<Issued, Failure> {
        Ok(self
            .tokens
            .issue(account, id, session_ends, self.clock.now(), new_id())?)
    }
}

/// What a client sends to read at least what is in the log about `subject` at `position`.
pub(crate) fn consistency(subject: UserId, position: u64) -> ConsistencyToken {
    ConsistencyToken::new(subject, position)
}

const fn name_of(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Logout => "logout",
        EndReason::LogoutAll => "logout_all",
        EndReason::ReuseDetected => "reuse_detected",
        EndReason::PasswordChanged => "password_changed",
        EndReason::Disabled => "disabled",
        EndReason::Expired => "expired",
        EndReason::Erased => "erased",
    }
}
