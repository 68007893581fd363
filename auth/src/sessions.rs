//! Loads and ends sessions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aggregate::{ExecuteError, Executed, Loaded, Repository, RepositoryError};
use auth_client::Revocation;
use event_store::{EventStore, StoreError};
use events::{Account, EndReason, SecretHash, Session, SessionId, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use prometheus::IntCounterVec;
use runtime::Clock;

use crate::{
    accounts::Changed,
    aggregates::repository,
    command_metadata::CommandMetadata,
    domain,
    error::{CommandError, Failure},
    revocations::Revocations,
};

/// How long an answer waits until the streams of closed sessions say that they ended.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(2);
/// The most sessions of an account that are read at the same time, because other requests need connections too.
const MAX_CONCURRENT_READS: usize = 2;
/// The most sessions of an account that are ended at the same time. Their appends share transactions.
const MAX_CONCURRENT_ENDINGS: usize = 16;

pub(crate) struct Sessions {
    pub(crate) streams: Repository<Session>,
    /// Reads sessions without personal data, so that it also works for people whose key cannot be used.
    impersonal: Repository<Session>,
    revocations: Revocations,
    ended: IntCounterVec,
}

impl Sessions {
    pub(crate) fn new(
        store: &Arc<dyn EventStore>,
        clock: &Arc<dyn Clock>,
        revocations: Revocations,
        ended: IntCounterVec,
    ) -> Self {
        Self {
            streams: repository(store, clock),
            impersonal: repository(store, clock).impersonal(),
            revocations,
            ended,
        }
    }

    pub(crate) async fn load(&self, id: SessionId) -> Result<Loaded<Session>, Failure> {
        Ok(self.streams.load(&id).await?)
    }

    /// The session `id`, without personal data if the key of its person cannot be used.
    pub(crate) async fn load_impersonal(&self, id: SessionId) -> Result<Loaded<Session>, Failure> {
        match self.load(id).await {
            Err(failure) if failure.is_unusable_key() => Ok(self.impersonal.load(&id).await?),
            other => other,
        }
    }

    /// The sessions that `account` has open, as their own streams have them.
    pub(crate) async fn open_of(&self, account: &Account) -> Result<Vec<Loaded<Session>>, Failure> {
        stream::iter(account.open_sessions.iter().copied())
            .map(|id| async move { self.streams.load(&id).await })
            .buffered(MAX_CONCURRENT_READS)
            .filter_map(async |loaded| match loaded {
                // A session that this release cannot read is not a reason to hide the others.
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

    /// Ends one session of `account`, unless it has ended, and broadcasts that. Returns the position in the log.
    pub(crate) async fn end(
        &self,
        session: SessionId,
        account: UserId,
        reason: EndReason,
        metadata: &CommandMetadata,
    ) -> Result<u64, CommandError> {
        let done = self.append_end(session, account, reason, metadata).await?;
        // Also when it had ended before: the process that ended it may have stopped before it broadcast that.
        self.revocations.broadcast(Revocation::Session(session)).await;
        Ok(done.position)
    }

    /// Ends the streams of the sessions that a command has closed in their account. The sessions are not valid any
    /// more, so nothing depends on this, and a failure is only logged. Returns the position in the log of the last
    /// known event about the account.
    pub(crate) async fn end_closed(
        &self,
        changed: &Changed,
        reason: EndReason,
        metadata: &CommandMetadata,
    ) -> u64 {
        let (account, position) = (changed.account.id, AtomicU64::new(changed.position));
        let endings = stream::iter(&changed.closed).for_each_concurrent(MAX_CONCURRENT_ENDINGS, async |id| {
            match self.append_end(*id, account, reason, metadata).await {
                Ok(done) => drop(position.fetch_max(done.position, Ordering::Relaxed)),
                // A login that was interrupted opened the session and never began it.
                Err(CommandError::Refused(_)) => {}
                Err(CommandError::Failed(error)) => {
                    tracing::warn!(%error, session.id = %id, "the stream of a closed session does not say so");
                }
            }
        });
        if tokio::time::timeout(CLEANUP_TIMEOUT, endings).await.is_err() {
            tracing::warn!(account.id = %account, "the streams of closed sessions did not all say so in time");
        }
        position.into_inner()
    }

    /// Ends the session that began with the refresh token `first`, because nobody got its tokens. Does nothing if it
    /// never began, or with another token. A failure is only logged.
    pub(crate) async fn take_back(
        &self,
        session: SessionId,
        account: UserId,
        first: &SecretHash,
        metadata: &CommandMetadata,
    ) {
        let decide = |session: Option<&Session>, now| {
            let ours = session.filter(|session| domain::session::has_token(session, first));
            domain::session::end(ours, account, EndReason::Logout, now)
        };
        let metadata = metadata.about(account);
        let ending = self.streams.execute(&session, &metadata, decide);
        match tokio::time::timeout(CLEANUP_TIMEOUT, ending).await {
            Ok(Ok(Executed { changed: true, .. })) => {
                self.ended.with_label_values(&[EndReason::Logout.name()]).inc();
            }
            Ok(Ok(_) | Err(ExecuteError::Refused(_))) => {}
            Ok(Err(ExecuteError::Failed(error))) => {
                tracing::warn!(%error, session.id = %session, "a login failed, and its session may be open");
            }
            Err(_) => tracing::warn!(session.id = %session, "a login failed, and its session may be open"),
        }
    }

    async fn append_end(
        &self,
        session: SessionId,
        account: UserId,
        reason: EndReason,
        metadata: &CommandMetadata,
    ) -> Result<Executed<Session>, CommandError> {
        let decide = |session: Option<&Session>, now| domain::session::end(session, account, reason, now);
        let done = self.streams.execute(&session, &metadata.about(account), decide).await?;
        if done.changed {
            self.ended.with_label_values(&[reason.name()]).inc();
        }
        Ok(done)
    }
}
