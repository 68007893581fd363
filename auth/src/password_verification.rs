//! Verifies the password of an account, for logins and for requests that need the password again. All of them use
//! this. It counts failures, limits attempts, and takes the same time for every failure.

use std::sync::Arc;

use events::{Account, SessionId, UserId};
use http_api::{RequestContext, SecurityEvent};

use crate::{
    app_state::App,
    domain::{Refusal, account::in_session},
    error::{ApiError, CommandError},
    password::{Password, Requester, Slot},
    throttle::{Attempt, FailureCounters},
};

/// The name in the security log of a password that is shown within a session.
const PASSWORD_CHECK: &str = "password_check";

pub(crate) struct VerifiedPassword {
    pub(crate) account: Account,
    /// The index of the right password among those that were tried.
    pub(crate) which: usize,
    /// Whether its hash is weaker than new ones.
    pub(crate) is_outdated: bool,
    /// The right to hash, which is still held.
    pub(crate) slot: Slot,
    /// The state of the counters before; for [`Throttle::succeeded`](crate::throttle::Throttle::succeeded).
    pub(crate) counters: FailureCounters,
}

/// The error of a request whose password was right when it was compared. If it is no longer valid at the append, the
/// security log says so.
pub(crate) fn refused_after_proof(id: UserId, error: impl Into<ApiError>) -> ApiError {
    let error = error.into();
    if let ApiError::Refused(Refusal::PasswordHasChanged) = &error {
        SecurityEvent::failure(PASSWORD_CHECK, "bad_credentials").subject(id).record();
    }
    error
}

impl App {
    /// Compares `passwords` with that of the account from `find`. They need one slot together, and each counts as a
    /// failure if none is right. `whose` is the expected account, if it is known before.
    ///
    /// # Errors
    /// Those of `find`, [`Refusal::AttemptsAreTooMany`] when it is too early, and [`Refusal::CredentialsAreWrong`] when
    /// there is no such account or none of the passwords is the right one.
    pub(crate) async fn prove_password(
        &self,
        attempt: &Attempt,
        whose: Option<UserId>,
        passwords: &[&Arc<Password>],
        find: impl AsyncFnOnce() -> Result<Option<Account>, ApiError>,
    ) -> Result<VerifiedPassword, ApiError> {
        let counters = self.may_try(attempt, whose).await?;
        let requester = Requester {
            address: attempt.source(),
            is_familiar: counters.is_familiar(),
            counter: Some(counters.counted_under(attempt)),
        };
        let slot = self.hasher.admit(requester).await?;
        // Others may have failed while this one waited.
        let counters = self.may_try(attempt, whose).await?;
        let account = find().await?;
        let hash = account.as_ref().map(|account| &*account.password_hash);
        for (which, password) in passwords.iter().enumerate() {
            let verified = self.hasher.verify(&slot, password, hash).await?;
            if let (Some(hash), Some(took)) = (hash, verified.first_of_its_kind) {
                self.remember_hash_cost(hash, took).await?;
            }
            if let Some(account) = account.as_ref().filter(|_| verified.matches) {
                return Ok(VerifiedPassword {
                    account: account.clone(),
                    which,
                    is_outdated: verified.is_outdated,
                    slot,
                    counters,
                });
            }
        }
        // Counted before the slot is free, because then the next guess with the same counter is admitted. Each of the
        // passwords is a guess.
        let mut failures = counters.failures();
        for _ in passwords {
            self.throttle.failed(attempt, &counters).await?;
            failures += 1;
        }
        let event = SecurityEvent::failure(attempt.event, "bad_credentials")
            .counted_as(attempt.key())
            .failures(failures);
        match account {
            Some(account) => event.subject(account.id).record(),
            None => event.record(),
        }
        let since = slot.since;
        drop(slot);
        self.hasher.failure_time.wait(since).await;
        Err(Refusal::CredentialsAreWrong.into())
    }

    /// Compares `password` with that of `id`, who is signed in with `session`, and counts a success. The right to hash
    /// is free again when this returns.
    pub(crate) async fn prove_own_password(
        &self,
        id: UserId,
        session: SessionId,
        password: &Arc<Password>,
        context: &RequestContext,
    ) -> Result<Account, ApiError> {
        let proven = self.prove_own_passwords(id, session, &[password], context).await?;
        Ok(proven.account)
    }

    /// Compares `passwords` with that of `id`, who is signed in with `session`, and counts a success. The caller holds
    /// the right to hash, and must not wait for anything but a hash meanwhile.
    ///
    /// # Errors
    /// Those of [`Self::prove_password`], with [`Refusal::OwnPasswordIsWrong`] for a wrong one, and
    /// [`Refusal::SessionHasEnded`] when the session has ended since the token was checked: then the password is not
    /// compared.
    pub(crate) async fn prove_own_passwords(
        &self,
        id: UserId,
        session: SessionId,
        passwords: &[&Arc<Password>],
        context: &RequestContext,
    ) -> Result<VerifiedPassword, ApiError> {
        let find = async || {
            let account = self.accounts.load_impersonal(id).await?.state;
            in_session(account.as_ref(), session)?;
            Ok(account)
        };
        let attempt = Attempt::in_session(&self.pepper, id, session, context);
        let proven = self.prove_password(&attempt, Some(id), passwords, find).await;
        let proven = proven.map_err(|error| match error {
            // The address is known.
            ApiError::Refused(Refusal::CredentialsAreWrong) => Refusal::OwnPasswordIsWrong.into(),
            other => other,
        })?;
        self.throttle.succeeded(&attempt, &proven.counters).await;
        Ok(proven)
    }

    async fn may_try(
        &self,
        attempt: &Attempt,
        whose: Option<UserId>,
    ) -> Result<FailureCounters, CommandError> {
        let checked = self.throttle.check(attempt).await;
        if matches!(checked, Err(CommandError::Refused(Refusal::AttemptsAreTooMany { .. }))) {
            SecurityEvent::failure(attempt.event, "too_many_attempts")
                .subject_if_known(whose)
                .counted_as(attempt.key())
                .record();
        }
        checked
    }
}
