//! Verifies the password of an account, for login and for everything that asks for the password again: the only way to it. It
//! counts failures, waits for its turn, and takes the same time whenever it fails.

use std::sync::Arc;

use events::{Account, EndReason, SessionId, UserId};
use http_api::{RequestContext, SecurityEvent};

use crate::{
    auth::Auth,
    domain::Refusal,
    error::{ApiError, CommandError, Failure},
    password::{Asker, Password, Slot},
    throttle::{Attempt, Standing},
};

/// What a password that is shown within a session is called in the security log.
const PASSWORD_CHECK: &str = "password_check";

/// Somebody knows the password.
pub(crate) struct VerifiedPassword {
    /// Whose it is.
    pub(crate) account: Account,
    /// Which of the passwords that were tried it is.
    pub(crate) which: usize,
    /// Whether its hash is weaker than those made today.
    pub(crate) is_outdated: bool,
    /// Still the right to hash.
    pub(crate) slot: Slot,
    /// What was known before; for [`Throttle::succeeded`](crate::throttle::Throttle::succeeded).
    pub(crate) standing: Standing,
}

/// What becomes of a request whose password was right when it was compared. If the password counts no more when the change is
/// appended, the security log says so.
pub(crate) fn refused_after_proof(id: UserId, error: impl Into<ApiError>) -> ApiError {
    let error = error.into();
    if let ApiError::Refused(Refusal::PasswordHasChanged) = &error {
        SecurityEvent::failure(PASSWORD_CHECK, "bad_credentials")
            .subject(id)
            .record();
    }
    error
}

impl Auth {
    /// Compares `passwords` with that of the account that `find` finds. All of them together wait for one turn, and each that is
    /// wrong is counted if none is right. `whose` is who it has to be, if that is known before.
    ///
    /// # Errors
    /// Those of `find`, [`Refusal::AttemptsAreTooMany`] when it is too early, [`Refusal::CredentialsAreWrong`] when there is no
    /// such account or none of the passwords is the right one.
    pub(crate) async fn prove_password(
        &self,
        attempt: &Attempt,
        whose: Option<UserId>,
        passwords: &[&Arc<Password>],
        find: impl AsyncFnOnce() -> Result<Option<Account>, ApiError>,
    ) -> Result<VerifiedPassword, ApiError> {
        let standing = self.may_try(attempt, whose).await?;
        let asker = Asker {
            address: attempt.source(),
            is_familiar: standing.is_familiar(),
            counter: Some(standing.counted_under(attempt)),
        };
        let slot = self.hasher.admit(asker).await?;
        // Others may have failed while this one waited.
        let standing = self.may_try(attempt, whose).await?;
        let account = find().await?;
        let hash = account.as_ref().map(|account| &*account.password_hash);
        for (which, password) in passwords.iter().enumerate() {
            let verified = self.hasher.verify(&slot, password, hash).await?;
            if let (Some(hash), Some(took)) = (hash, verified.first_of_its_kind) {
                self.remember_hash_cost(hash, took)
                    .await
                    .map_err(Failure::Operations)?;
            }
            if let Some(account) = account.as_ref().filter(|_| verified.matches) {
                return Ok(VerifiedPassword {
                    account: account.clone(),
                    which,
                    is_outdated: verified.is_outdated,
                    slot,
                    standing,
                });
            }
        }
        // Before the slot is free: then the next guess under the same counter is admitted. Each of the passwords was a guess.
        let mut failures = standing.failures();
        for _ in passwords {
            self.throttle.failed(attempt, &standing).await?;
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
        self.hasher.wait_as_every_failure(since).await;
        Err(Refusal::CredentialsAreWrong.into())
    }

    /// Compares `passwords` with that of `id`, who is signed in with `session`, and counts a success.
    ///
    /// # Errors
    /// Those of [`Self::prove_password`], and [`Refusal::SessionHasEnded`] when it has since the token was checked: then whether
    /// the password is right is not looked at.
    pub(crate) async fn prove_own_password(
        &self,
        id: UserId,
        session: SessionId,
        passwords: &[&Arc<Password>],
        context: &RequestContext,
    ) -> Result<VerifiedPassword, ApiError> {
        let find = async || {
            let account = self.impersonal_account(id).await?.state;
            match account {
                Some(account) if account.has_open(session) => Ok(Some(account)),
                Some(account) if account.erased => Err(Refusal::SessionHasEnded(EndReason::Erased).into()),
                _ => Err(Refusal::SessionHasEnded(EndReason::LogoutAll).into()),
            }
        };
        let attempt = Attempt::in_session(&self.pepper, id, session, context);
        let proven = self.prove_password(&attempt, Some(id), passwords, find).await?;
        self.throttle.succeeded(&attempt, &proven.standing).await;
        Ok(proven)
    }

    async fn may_try(&self, attempt: &Attempt, whose: Option<UserId>) -> Result<Standing, CommandError> {
        let checked = self.throttle.check(attempt).await;
        if matches!(
            checked,
            Err(CommandError::Refused(Refusal::AttemptsAreTooMany { .. }))
        ) {
            SecurityEvent::failure(attempt.event, "too_many_attempts")
                .subject_if_known(whose)
                .counted_as(attempt.key())
                .record();
        }
        checked
    }
}
