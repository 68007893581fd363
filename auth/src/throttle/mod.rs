//! Limits guesses at passwords and codes: over all replicas, and across restarts.
//!
//! Failures are counted for each account, and delay the next attempt more and more. An address from which somebody
//! has logged in before is familiar and has its own counter, so that strangers cannot lock the owner out. A right
//! password from any address clears all counters of the account. Besides, each address has an allowance of failures
//! over all accounts.

mod account_delays;
mod address_rate_limit;
mod cleanup;
mod counter_keys;
mod whole_seconds;

use std::sync::Arc;

use database::{Database, DatabaseError};
use events::{EmailAddress, UserId};
use runtime::Clock;

pub(crate) use account_delays::Standing;
pub(crate) use cleanup::keep_bounded;
pub(crate) use counter_keys::Attempt;
use whole_seconds::whole_seconds;

use crate::{
    domain::Refusal,
    error::{CommandError, Failure},
    keys::Pepper,
};

/// The counters, in the database of operations.
pub(crate) struct Throttle {
    operations: Database,
    clock: Arc<dyn Clock>,
    count_failure: String,
}

impl Throttle {
    pub(crate) fn new(operations: Database, clock: Arc<dyn Clock>) -> Self {
        Self {
            operations,
            clock,
            count_failure: account_delays::count_failure(),
        }
    }

    /// Checks that `attempt` may be made now.
    ///
    /// # Errors
    /// [`Refusal::AttemptsAreTooMany`] when it must wait; otherwise when the database fails.
    pub(crate) async fn check(&self, attempt: &Attempt) -> Result<Standing, CommandError> {
        let now = self.now();
        let standing = Standing::look_up(&self.operations, attempt)
            .await
            .map_err(unusable)?;
        match standing.wait(now) {
            0 => Ok(standing),
            micros => Err(Refusal::AttemptsAreTooMany {
                seconds: whole_seconds(micros),
            }
            .into()),
        }
    }

    /// Counts a failure of `attempt`.
    ///
    /// # Errors
    /// When the database fails: then the answer must not reveal the result, or the attempt would have been free.
    pub(crate) async fn failed(&self, attempt: &Attempt, standing: &Standing) -> Result<(), CommandError> {
        let now = self.now();
        account_delays::add_failure(&self.operations, &self.count_failure, attempt, standing, now)
            .await
            .map_err(unusable)?;
        if !standing.is_familiar() && attempt.has_address() {
            address_rate_limit::FAILURES
                .use_up(&self.operations, &attempt.address, now)
                .await
                .map_err(unusable)?;
        }
        Ok(())
    }

    /// Clears the failures of the account after a successful `attempt`, and makes its address familiar if it is a
    /// login. If that fails, the owner waits a little after the next mistake.
    pub(crate) async fn succeeded(&self, attempt: &Attempt, standing: &Standing) {
        let kept = account_delays::keep_success(&self.operations, attempt, standing, self.now()).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "a login succeeded, and the failures before it still count");
        }
    }

    /// Clears the failures of all sessions of `person`, because somebody has logged in.
    pub(crate) async fn forgive_sessions(&self, pepper: &Pepper, person: UserId) {
        let key = Attempt::key_of_sessions(pepper, person);
        if let Err(error) = account_delays::forgive_sessions(&self.operations, &key).await {
            tracing::warn!(%error, "a login succeeded, and failures within sessions still count");
        }
    }

    /// Makes the address of a registration familiar, so that strangers cannot prevent the first login.
    pub(crate) async fn registered(&self, attempt: &Attempt) {
        let kept = account_delays::remember(&self.operations, attempt, 0, self.now()).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "somebody registered, and their address is not familiar");
        }
    }

    /// Clears all failures of the account of `attempt` after its password was changed, and makes its address the only
    /// familiar one: others may be of someone who knew the old password.
    pub(crate) async fn password_was_changed(&self, attempt: &Attempt) {
        let forgotten = async {
            account_delays::forget(&self.operations, attempt, Some(&attempt.address)).await?;
            account_delays::remember(&self.operations, attempt, 1, self.now()).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "a password was changed, and what was known of addresses before still counts");
        }
    }

    /// Clears all failures and familiar addresses of the account of `attempt`, after its password was reset.
    pub(crate) async fn password_was_reset(&self, attempt: &Attempt) {
        if let Err(error) = account_delays::forget(&self.operations, attempt, None).await {
            tracing::warn!(%error, "a password was reset, and what was known of addresses before still counts");
        }
    }

    /// Deletes the counters of guesses at the passwords of `person`, and their familiar addresses.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn erase(
        &self,
        pepper: &Pepper,
        person: UserId,
        email: Option<&EmailAddress>,
    ) -> Result<(), CommandError> {
        for key in Attempt::keys_of(pepper, person, email) {
            account_delays::erase(&self.operations, &key)
                .await
                .map_err(unusable)?;
        }
        Ok(())
    }

    /// Counts a registration from the address of `attempt`.
    ///
    /// # Errors
    /// [`Refusal::AttemptsAreTooMany`] when there were too many; otherwise when the database fails.
    pub(crate) async fn register(&self, attempt: &Attempt) -> Result<(), CommandError> {
        if !attempt.has_address() {
            return Ok(());
        }
        let used = address_rate_limit::REGISTRATIONS
            .use_if_left(&self.operations, &attempt.address, self.now())
            .await
            .map_err(unusable)?;
        if used {
            Ok(())
        } else {
            let seconds = address_rate_limit::REGISTRATIONS.seconds_for_one();
            Err(Refusal::AttemptsAreTooMany { seconds }.into())
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }
}

fn unusable(error: DatabaseError) -> CommandError {
    Failure::Operations(error).into()
}
