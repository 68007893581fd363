//! Finishes erasures that have begun: those whose process ended, and data that arrived after the first attempt.

use std::{sync::Arc, time::Duration};

use aggregate::RepositoryError;
use database::Forgetting;
use event_store::StoreError;
use events::Timestamp;
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use super::pending::{self, Pending};
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    domain::Refusal,
    error::{CommandError, Failure},
};

/// How often pending erasures are read.
const EVERY: Duration = Duration::from_secs(5);
/// For this long, a command that was running during the erasure may still leave data, so the erasure is repeated once
/// after it: longer than an access token without a revocation is accepted, and longer than a request takes.
const STRAGGLERS_SECONDS: i64 = 120;
/// An erasure that has not happened this long after it was announced is abandoned.
const ABANDONED_SECONDS: i64 = 600;

/// Finishes pending erasures repeatedly, until `stop` is cancelled. A round may be broken off.
pub(crate) async fn finish_what_has_begun(auth: Arc<Auth>, stop: CancellationToken) {
    let (mut known, mut forgotten) = (Vec::new(), Vec::new());
    let mut forgetting = Forgetting::of(auth.operations.clone());
    let mut rounds = Rounds::every(EVERY, stop);
    while rounds.next().await {
        if let Err(error) = round(&auth, &mut known, &mut forgotten, &mut forgetting).await {
            tracing::warn!(%error, "the erasures that have begun cannot be read, trying again");
        }
    }
}

/// A pending erasure, and whether all its consequences were completed.
pub(super) type Followed = (Pending, bool);

/// Finishes pending erasures. `known` are those of the last round. If any was added, completed or removed since the
/// deleted rows were `forgotten`, others were deleted, and SQLite must not keep their bytes.
async fn round(
    auth: &Auth,
    known: &mut Vec<Followed>,
    forgotten: &mut Vec<Followed>,
    forgetting: &mut Forgetting,
) -> Result<(), Failure> {
    *known = finish_all(auth, known).await?;
    show(auth, known);
    if forgotten != known {
        let is_done = forgetting.forget_deleted().await;
        if is_done.map_err(Failure::Operations)? {
            forgotten.clone_from(known);
        }
    }
    Ok(())
}

fn show(auth: &Auth, pending: &[Followed]) {
    let now = auth.clock.now().as_micros();
    let ages = pending
        .iter()
        .map(|(pending, _)| now - pending.begun_at.as_micros());
    let oldest = ages.max().unwrap_or_default();
    auth.counters.oldest_erasure.set(oldest / 1_000_000);
    let count = i64::try_from(pending.len()).unwrap_or(i64::MAX);
    auth.counters.erasures_pending.set(count);
}

/// Finishes those pending erasures for which there is something to do, and returns all of them. `known` are those that
/// this process has seen before.
pub(super) async fn finish_all(auth: &Auth, known: &[Followed]) -> Result<Vec<Followed>, Failure> {
    let mut all: Vec<Followed> = Vec::new();
    loop {
        let after = all.last().map(|(last, _)| last.subject);
        let page = pending::page(&auth.operations, after)
            .await
            .map_err(Failure::Operations)?;
        if page.is_empty() {
            return Ok(all);
        }
        for pending in page {
            if waits_for_stragglers(&pending, known, auth.clock.now()) {
                all.push((pending, true));
                continue;
            }
            let is_followed = finish(auth, &pending).await.unwrap_or_else(|error| {
                tracing::warn!(%error, account.id = %pending.subject, "an erasure is not finished, trying again");
                false
            });
            all.push((pending, is_followed));
        }
    }
}

/// Whether all consequences of an erasure were completed before, and nothing is done until late data is there.
fn waits_for_stragglers(pending: &Pending, known: &[Followed], now: Timestamp) -> bool {
    let was_followed = |(known, is_followed): &Followed| *is_followed && known == pending;
    !pending.is_older_than(STRAGGLERS_SECONDS, now) && known.iter().any(was_followed)
}

/// Completes the consequences of an erasure. Returns whether there were any.
async fn finish(auth: &Auth, pending: &Pending) -> Result<bool, CommandError> {
    let now = auth.clock.now();
    // The last event says it, also where this build cannot read one before it.
    let is_erased = match auth.erased_event(pending.subject).await {
        Ok(Some(_)) => true,
        Ok(None) | Err(StoreError::KeyUnusable(_)) => {
            let operation = pending.operation.clone();
            let metadata = operation.map_or_else(CommandMetadata::system, CommandMetadata::operator);
            match auth.erase_if_key_is_destroyed(pending.subject, &metadata).await {
                Err(CommandError::Refused(Refusal::AccountIsUnknown)) => false,
                other => other?,
            }
        }
        Err(error) => return Err(RepositoryError::Store(error).into()),
    };
    let is_over = if is_erased {
        auth.finish_erasure(pending.subject, &CommandMetadata::system())
            .await?;
        let is_over = pending.is_older_than(STRAGGLERS_SECONDS, now);
        if is_over {
            auth.conclude_operation(pending.subject).await?;
        }
        is_over
    } else {
        pending.is_older_than(ABANDONED_SECONDS, now)
    };
    if is_over {
        pending::end(&auth.operations, pending)
            .await
            .map_err(Failure::Operations)?;
    }
    Ok(is_erased)
}

#[cfg(test)]
mod tests {
    use events::UserId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_consequences_of_an_erasure_are_completed_at_once_and_once_more_after_two_minutes() {
        let begun_at = Timestamp::from_micros(1_800_000_000_000_000);
        let pending = |begun_at| Pending {
            subject: UserId(Uuid::from_u128(1)),
            begun_at,
            operation: None,
        };
        let (mut known, mut times) = (Vec::new(), Vec::new());
        for seconds in (0..=120).step_by(5) {
            if !waits_for_stragglers(&pending(begun_at), &known, begun_at.plus_seconds(seconds)) {
                times.push(seconds);
            }
            known = vec![(pending(begun_at), true)];
        }
        assert_eq!(times, [0, 120]);
        let later = begun_at.plus_seconds(60);
        assert!(
            !waits_for_stragglers(&pending(later), &known, later),
            "it was begun again"
        );
        let unfinished = [(pending(begun_at), false)];
        assert!(!waits_for_stragglers(&pending(begun_at), &unfinished, begun_at));
    }
}
