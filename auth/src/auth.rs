//! What the endpoints share: finding accounts, ending sessions, issuing tokens.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aggregate::{Executed, Loaded, Repository, RepositoryError};
use auth_client::{REVOCATIONS, Revocation};
use bus::Bus;
use database::Database;
use event_store::{EventStore, StoreError};
use events::{
    Account, AccountEvent, Admins, ConsistencyToken, EmailAddress, EndReason, ProgramToken, Role, Session,
    SessionId, UserId,
};
use futures::{StreamExt, TryStreamExt, stream};
use runtime::{Clock, Rounds, new_id};
use sealing::SubjectKeys;
use tokio_util::sync::CancellationToken;

use crate::{
    command_metadata::CommandMetadata,
    domain::{self, Claim, Refusal},
    endpoints::concurrency_limits::ConcurrencyLimits,
    error::{CommandError, Failure},
    key_reload::{KeyFiles, LOOK_EVERY},
    keys::Pepper,
    metrics::Counters,
    password::{Hasher, Policy},
    projection::AwaitedProjection,
    second_factor::Sealing,
    throttle::Throttle,
    token::{AccessTokens, Issued, Owner},
};

/// How long an answer waits for a revocation to go out.
const BROADCAST_PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer waits until the streams of closed sessions say that they ended.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(2);
/// How many sessions of an account are read at once: others need connections, too.
const SESSIONS_READ_AT_ONCE: usize = 2;
/// How many sessions of an account are ended at once. Appends share their transactions.
const SESSIONS_ENDED_AT_ONCE: usize = 16;

/// Everything that the endpoints need.
pub(crate) struct Auth {
    pub(crate) accounts: Repository<Account>,
    /// Also of people whose key cannot be used, without what is personal.
    pub(crate) impersonal_accounts: Repository<Account>,
    pub(crate) sessions: Repository<Session>,
    /// Also of people whose key cannot be used, without what is personal.
    pub(crate) impersonal_sessions: Repository<Session>,
    pub(crate) claims: Repository<Claim>,
    pub(crate) admins: Repository<Admins>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hasher: Hasher,
    pub(crate) password_policy: Policy,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) shares: ConcurrencyLimits,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) tokens: AccessTokens,
    pub(crate) key_files: KeyFiles,
    pub(crate) pepper: Pepper,
    pub(crate) sealing: Sealing,
    pub(crate) second_factor_roles: BTreeSet<Role>,
    pub(crate) refresh_ttl_seconds: i64,
    pub(crate) idle_seconds: u32,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) subject_keys: SubjectKeys,
    pub(crate) read_models: Database,
    pub(crate) projection: AwaitedProjection,
    pub(crate) operations: Database,
    pub(crate) counters: Counters,
}

/// An account that was changed.
pub(crate) struct Changed {
    /// The account now.
    pub(crate) account: Account,
    /// In the log, of the last event about it.
    pub(crate) position: u64,
    /// Whether anything happened.
    pub(crate) happened: bool,
    /// The sessions that this has closed.
    pub(crate) closed: Vec<SessionId>,
}

impl Auth {
    /// The account that registered `email`, unless it has been erased; without what is personal if its key cannot be used.
    pub(crate) async fn account_of(&self, email: &EmailAddress) -> Result<Option<Account>, Failure> {
        Ok(self.holder_of(email).await?.filter(|account| !account.erased))
    }

    /// The account that holds the address `email`, also when the person was erased a moment ago; without what is personal if
    /// its key cannot be used.
    pub(crate) async fn holder_of(&self, email: &EmailAddress) -> Result<Option<Account>, Failure> {
        let claim = self.claims.load(&self.pepper.key_of(email)).await?;
        match claim.state.and_then(|claim| claim.holder) {
            Some(holder) => Ok(self.impersonal_account(holder).await?.state),
            None => Ok(None),
        }
    }

    /// The session `id` as its own stream says.
    pub(crate) async fn session(&self, id: SessionId) -> Result<Loaded<Session>, Failure> {
        Ok(self.sessions.load(&id).await?)
    }

    /// As [`Self::session`], without what is personal if the key of its person cannot be used.
    pub(crate) async fn impersonal_session(&self, id: SessionId) -> Result<Loaded<Session>, Failure> {
        match self.session(id).await {
            Err(failure) if failure.is_unusable_key() => Ok(self.impersonal_sessions.load(&id).await?),
            other => other,
        }
    }

    /// The account `id` as it counts now.
    pub(crate) async fn account(&self, id: UserId) -> Result<Loaded<Account>, Failure> {
        Ok(self.account_and_admins(id).await?.0)
    }

    /// As [`Self::account`], without what is personal if its key cannot be used: for whoever shows and decides nothing that
    /// depends on that.
    pub(crate) async fn impersonal_account(&self, id: UserId) -> Result<Loaded<Account>, Failure> {
        Ok(self.impersonal_account_and_admins(id).await?.0)
    }

    /// As [`Self::impersonal_account`], with what the admins have laid down at the same time.
    pub(crate) async fn impersonal_account_and_admins(
        &self,
        id: UserId,
    ) -> Result<(Loaded<Account>, Admins), Failure> {
        match self.account_and_admins(id).await {
            Err(failure) if failure.is_unusable_key() => self.account_in(&self.impersonal_accounts, id).await,
            other => other,
        }
    }

    /// As [`Self::account`], with what the admins have laid down at the same time.
    pub(crate) async fn account_and_admins(&self, id: UserId) -> Result<(Loaded<Account>, Admins), Failure> {
        self.account_in(&self.accounts, id).await
    }

    async fn account_in(
        &self,
        accounts: &Repository<Account>,
        id: UserId,
    ) -> Result<(Loaded<Account>, Admins), Failure> {
        let (mut account, admins) = futures::try_join!(accounts.load(&id), self.admins.load(&()))?;
        account.state = account
            .state
            .map(|account| domain::admins::effective(account, admins.state.as_ref()));
        Ok((account, admins.state.unwrap_or_default()))
    }

    /// Decides about the account `id` as it counts now and appends; returns the account.
    pub(crate) async fn change_account(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<Changed, CommandError> {
        self.change_account_in(&self.accounts, id, metadata, decide).await
    }

    /// As [`Self::change_account`], also while the key of the account cannot be used: for a change with nothing personal in it.
    pub(crate) async fn change_impersonal_account(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        mut decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<Changed, CommandError> {
        match self.change_account(id, metadata, &mut decide).await {
            Err(CommandError::Failed(failure)) if failure.is_unusable_key() => {
                self.change_account_in(&self.impersonal_accounts, id, metadata, decide)
                    .await
            }
            other => other,
        }
    }

    async fn change_account_in(
        &self,
        accounts: &Repository<Account>,
        id: UserId,
        metadata: &CommandMetadata,
        mut decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<Changed, CommandError> {
        let admins = self.admins.load(&()).await?;
        let effective = |account: Account| domain::admins::effective(account, admins.state.as_ref());
        let mut open = Vec::new();
        let done = accounts
            .execute(&id, &metadata.about(id), |account, _| {
                let account = account.cloned().map(effective);
                let events = decide(account.as_ref())?;
                open = account.map(|before| before.open_sessions).unwrap_or_default();
                Ok::<_, Refusal>(events)
            })
            .await?;
        let account = effective(done.state.ok_or(Refusal::AccountIsUnknown)?);
        open.retain(|session| !account.open_sessions.contains(session));
        Ok(Changed {
            closed: open,
            account,
            position: done.position,
            happened: done.changed,
        })
    }

    /// A position in the log that no event about any account is beyond, for the answer to a command that found everything done
    /// already: whoever did it may have appended to more streams than the one that was read.
    pub(crate) async fn newest_position(&self) -> Result<u64, Failure> {
        Ok(self.store.head().await.map_err(RepositoryError::from)?)
    }

    /// Ends one session of `account`, unless it has ended, and tells everyone.
    pub(crate) async fn end_session(
        &self,
        session: SessionId,
        account: UserId,
        reason: EndReason,
        metadata: &CommandMetadata,
    ) -> Result<u64, CommandError> {
        let done = self.append_end(session, account, reason, metadata).await?;
        // Also when it had ended before: whoever ended it may have died before telling anyone.
        self.revoke(Revocation::Session(session)).await;
        Ok(done.position)
    }

    /// Lets the streams of sessions that an event of their account has closed say so, for those who read the streams
    /// alone. The sessions are dead already, so nothing depends on it, and a failure is only logged. Returns the
    /// position in the log of the last event about the account that is known here.
    pub(crate) async fn end_closed_sessions(
        &self,
        changed: &Changed,
        reason: EndReason,
        metadata: &CommandMetadata,
    ) -> u64 {
        let (account, position) = (changed.account.id, AtomicU64::new(changed.position));
        let endings = stream::iter(&changed.closed).for_each_concurrent(SESSIONS_ENDED_AT_ONCE, async |id| {
            match self.append_end(*id, account, reason, metadata).await {
                Ok(done) => drop(position.fetch_max(done.position, Ordering::Relaxed)),
                // A login that was cut short opened it and never began it.
                Err(CommandError::Refused(_)) => {}
                Err(CommandError::Failed(error)) => {
                    tracing::warn!(%error, session.id = %id, "the stream of a closed session does not say so");
                }
            }
        });
        if tokio::time::timeout(CLEANUP_PATIENCE, endings).await.is_err() {
            tracing::warn!(account.id = %account, "the streams of closed sessions did not all say so in time");
        }
        position.into_inner()
    }

    async fn append_end(
        &self,
        session: SessionId,
        account: UserId,
        reason: EndReason,
        metadata: &CommandMetadata,
    ) -> Result<Executed<Session>, CommandError> {
        let decide = |session: Option<&Session>, now| domain::session::end(session, account, reason, now);
        let done = self
            .sessions
            .execute(&session, &metadata.about(account), decide)
            .await?;
        if done.changed {
            self.counters
                .ended_sessions
                .with_label_values(&[reason.name()])
                .inc();
        }
        Ok(done)
    }

    /// The sessions that are open as far as `account` is concerned, as their own streams say.
    pub(crate) async fn open_sessions(&self, account: &Account) -> Result<Vec<Loaded<Session>>, Failure> {
        stream::iter(account.open_sessions.iter().copied())
            .map(|id| async move { self.sessions.load(&id).await })
            .buffered(SESSIONS_READ_AT_ONCE)
            .filter_map(async |loaded| match loaded {
                // One that this build cannot read is not a reason to hide the others.
                Err(
                    error @ (RepositoryError::Unreadable(_)
                    | RepositoryError::Store(StoreError::Corrupt(_) | StoreError::KeyUnusable(_))),
                ) => {
                    tracing::error!(%error, account.id = %account.id, "a session cannot be read");
                    None
                }
                other => Some(other.map_err(Failure::from)),
            })
            .try_collect()
            .await
    }

    /// Reads the signing keys again, and tells everyone when one was taken away.
    pub(crate) async fn renew_keys(&self) {
        if self.key_files.renew(&self.tokens).await {
            self.revoke(Revocation::Keys).await;
        }
    }

    /// Reads the signing keys again and again, until `stop` is cancelled, so that what an operator does to them counts without a
    /// restart.
    pub(crate) async fn keep_keys(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = Rounds::every(LOOK_EVERY, stop).after_a_pause();
        while rounds.next().await {
            self.renew_keys().await;
        }
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

    /// An access token for `account` in `session`.
    pub(crate) fn issue(
        &self,
        account: &Account,
        session: &Session,
        admins: &Admins,
    ) -> Result<Issued, Failure> {
        let owner = Owner {
            id: account.id,
            email: account.email.clone(),
            roles: self.roles_in(account, session, admins),
        };
        Ok(self.tokens.issue(&owner, session, self.clock.now(), new_id())?)
    }

    /// What the account may do in `session`: a role that asks for a second factor counts only where one was shown.
    pub(crate) fn roles_in(&self, account: &Account, session: &Session, admins: &Admins) -> BTreeSet<Role> {
        self.roles_with(account, session.has_second_factor(), admins)
    }

    /// What the account may do with a program token. One that was made without a second factor does not stand in for it, and none
    /// does once the account has given it up.
    pub(crate) fn roles_of_program(
        &self,
        account: &Account,
        token: &ProgramToken,
        admins: &Admins,
    ) -> BTreeSet<Role> {
        let is_strong = token.second_factor && account.confirmed_second_factor().is_some();
        self.roles_with(account, is_strong, admins)
    }

    fn roles_with(&self, account: &Account, is_strong: bool, admins: &Admins) -> BTreeSet<Role> {
        let asking = self.roles_that_ask(admins);
        let roles = account.roles.iter().copied();
        roles.filter(|role| is_strong || !asking.contains(role)).collect()
    }

    /// The roles that ask for a second factor: those of the setting, and those that the admins have added.
    pub(crate) fn roles_that_ask(&self, admins: &Admins) -> BTreeSet<Role> {
        &self.second_factor_roles | &admins.second_factor_roles
    }
}

/// What a client sends to read at least what is in the log about `subject` at `position`.
pub(crate) fn consistency(subject: UserId, position: u64) -> ConsistencyToken {
    ConsistencyToken::new(subject, position)
}
