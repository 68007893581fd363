//! Limits guesses at passwords and codes: over all replicas, and across restarts.
//!
//! Failures are counted for each account, and each one delays the next attempt more. An address from which somebody has
//! logged in before is familiar and has its own counter, so that strangers cannot lock the owner out. A right password
//! from any address clears all counters of the account. Besides, each address has an allowance of failures over all
//! accounts.

mod attempt;
mod cleanup;
mod failures_by_account;
mod failures_by_address;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use database::{Database, DatabaseError, Dialect};
use events::{EmailAddress, UserId};
use runtime::Clock;
use tokio::sync::Mutex;

pub(crate) use attempt::Attempt;
pub(crate) use cleanup::keep_cleaning_up;
pub(crate) use failures_by_account::FailureCounters;

use crate::{
    domain::Refusal,
    error::{CommandError, Failure},
    keys::Pepper,
};

/// For how long at most there are no attempts after a failure that could not be counted, in microseconds.
const PAUSE_WHEN_UNCOUNTED: i64 = 10 * 1_000_000;

/// A failure that could not be counted.
#[derive(Debug)]
struct Uncounted {
    attempt: Attempt,
    counters: FailureCounters,
    since: i64,
    /// Whether only the allowance of the address is missing.
    is_counted_for_account: bool,
}

/// The counters, in the database of operations.
pub(crate) struct Throttle {
    operations: Database,
    clock: Arc<dyn Clock>,
    count_failure: String,
    /// The last failure that could not be counted. While the database can be read and not written, as on a full disk,
    /// a wrong password is answered with 503 and a right one is not, so that each guess would be free. Therefore there
    /// are no attempts until this is counted.
    uncounted: Mutex<Option<Uncounted>>,
    has_uncounted: AtomicBool,
}

impl Throttle {
    pub(crate) fn new(operations: Database, clock: Arc<dyn Clock>) -> Self {
        Self {
            count_failure: failures_by_account::count_failure(Dialect::of(&operations)),
            operations,
            clock,
            uncounted: Mutex::default(),
            has_uncounted: AtomicBool::default(),
        }
    }

    /// Checks that `attempt` may be made now.
    ///
    /// # Errors
    /// [`Refusal::AttemptsAreTooMany`] when it must wait; otherwise when the database fails, or when a failure could
    /// not be counted before.
    pub(crate) async fn check(&self, attempt: &Attempt) -> Result<FailureCounters, CommandError> {
        let now = self.now();
        self.catch_up(now).await?;
        let mut counters = FailureCounters::load(&self.operations, attempt).await?;
        let wait = counters.measure_wait(&self.operations, attempt, now).await?;
        match wait {
            0 => Ok(counters),
            micros => Err(Refusal::AttemptsAreTooMany { seconds: whole_seconds(micros) }.into()),
        }
    }

    /// Counts a failure of `attempt`.
    ///
    /// # Errors
    /// When the database fails: then the answer must not reveal the result, or the attempt would have been free.
    pub(crate) async fn failed(
        &self,
        attempt: &Attempt,
        counters: &FailureCounters,
    ) -> Result<(), CommandError> {
        let now = self.now();
        let mut is_counted_for_account = false;
        let counted = self.count(attempt, counters, now, &mut is_counted_for_account).await;
        if counted.is_err()
            && let Ok(mut uncounted) = self.uncounted.try_lock()
        {
            *uncounted = Some(Uncounted {
                attempt: attempt.clone(),
                counters: counters.clone(),
                since: now,
                is_counted_for_account,
            });
            self.has_uncounted.store(true, Ordering::Relaxed);
        }
        Ok(counted?)
    }

    async fn count(
        &self,
        attempt: &Attempt,
        counters: &FailureCounters,
        now: i64,
        is_counted_for_account: &mut bool,
    ) -> Result<(), DatabaseError> {
        let now = now.max(counters.not_before);
        if !*is_counted_for_account {
            let operations = &self.operations;
            failures_by_account::add_failure(operations, &self.count_failure, attempt, counters, now).await?;
            *is_counted_for_account = true;
        }
        if counters.uses_allowance(attempt) {
            failures_by_address::FAILURES.count(&self.operations, &attempt.address, now).await?;
        }
        Ok(())
    }

    /// Counts the failure that could not be counted before, unless that was long ago: it may be that only this one
    /// cannot be counted.
    async fn catch_up(&self, now: i64) -> Result<(), CommandError> {
        if !self.has_uncounted.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Whoever holds this is counting.
        let mut uncounted = self.uncounted.try_lock().map_err(|_| Failure::Uncounted)?;
        if let Some(failure) = &mut *uncounted
            && (0..PAUSE_WHEN_UNCOUNTED).contains(&now.saturating_sub(failure.since))
        {
            let is_counted_for_account = &mut failure.is_counted_for_account;
            let counting =
                self.count(&failure.attempt, &failure.counters, failure.since, is_counted_for_account);
            counting.await?;
        }
        *uncounted = None;
        self.has_uncounted.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Clears the failures of the account after a successful `attempt`. If that is a login, its address becomes
    /// familiar. If this fails, the owner waits a little after the next mistake.
    pub(crate) async fn succeeded(&self, attempt: &Attempt, counters: &FailureCounters) {
        let kept = failures_by_account::keep_success(&self.operations, attempt, counters, self.now()).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "a login succeeded, and the failures before it still count");
        }
    }

    /// Clears the failures of all sessions of `person`, because somebody has logged in.
    pub(crate) async fn forgive_sessions(&self, pepper: &Pepper, person: UserId) {
        let key = Attempt::key_of_sessions(pepper, person);
        if let Err(error) = failures_by_account::forgive_sessions(&self.operations, &key).await {
            tracing::warn!(%error, "a login succeeded, and failures within sessions still count");
        }
    }

    /// Makes the address of a registration familiar, so that strangers cannot prevent the first login.
    pub(crate) async fn registered(&self, attempt: &Attempt) {
        let kept = failures_by_account::remember(&self.operations, attempt, 0, self.now()).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "somebody registered, and their address is not familiar");
        }
    }

    /// Clears all failures of the account of `attempt` after its password was changed, and makes its address the only
    /// familiar one: others may be of someone who knew the old password.
    pub(crate) async fn password_was_changed(&self, attempt: &Attempt) {
        let forgotten = async {
            failures_by_account::forget(&self.operations, attempt, Some(&attempt.address)).await?;
            failures_by_account::remember(&self.operations, attempt, 1, self.now()).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "a password was changed, and what was known of addresses before still counts");
        }
    }

    /// Clears all failures and familiar addresses of the account of `attempt`, after its password was reset.
    pub(crate) async fn password_was_reset(&self, attempt: &Attempt) {
        if let Err(error) = failures_by_account::forget(&self.operations, attempt, None).await {
            tracing::warn!(%error, "a password was reset, and what was known of addresses before still counts");
        }
    }

    /// Deletes the counters of guesses at the passwords of `person`, and their familiar addresses.
    pub(crate) async fn erase(
        &self,
        pepper: &Pepper,
        person: UserId,
        email: Option<&EmailAddress>,
    ) -> Result<(), CommandError> {
        for key in Attempt::keys_of(pepper, person, email) {
            failures_by_account::erase(&self.operations, &key).await?;
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
        let used = failures_by_address::REGISTRATIONS
            .count_if_left(&self.operations, &attempt.address, self.now())
            .await?;
        if used {
            Ok(())
        } else {
            let seconds = whole_seconds(failures_by_address::REGISTRATIONS.micros_for_one);
            Err(Refusal::AttemptsAreTooMany { seconds }.into())
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }
}

/// A wait in seconds for an answer, rounded up to at least one.
fn whole_seconds(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000).max(1)
}
