//! Finishes erasures that have begun: those whose process ended, and data that arrived after the first attempt.

use std::{sync::Arc, time::Duration};

use database::Forgetting;
use event_store::StoreError;
use events::Timestamp;
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use super::pending::{self, Pending};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::Refusal,
    error::{CommandError, Failure},
};

/// How often pending erasures are read.
const INTERVAL: Duration = Duration::from_secs(5);
/// For this long, a command that was running during the erasure may still leave data, so the erasure is repeated once
/// after it: longer than an access token without a revocation is accepted, and longer than a request takes.
const STRAGGLERS_SECONDS: i64 = 120;
/// An erasure that has not happened this long after it was announced is abandoned.
const ABANDONED_SECONDS: i64 = 600;

/// Finishes pending erasures repeatedly, until `stop` is cancelled. A round may be interrupted.
pub(crate) async fn finish_pending_erasures(app: Arc<App>, stop: CancellationToken) {
    let mut known = Vec::new();
    let mut forgetting = Forgetting::of(app.operations.clone());
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        if let Err(error) = round(&app, &mut known, &mut forgetting).await {
            tracing::warn!(%error, "the erasures that have begun cannot be read, trying again");
        }
    }
}

/// A pending erasure, and whether all its consequences were completed.
pub(super) type Followed = (Pending, bool);

/// Finishes pending erasures. `known` are those of the last round.
async fn round(app: &App, known: &mut Vec<Followed>, forgetting: &mut Forgetting) -> Result<(), Failure> {
    *known = finish_all(app, known).await?;
    show(app, known);
    Ok(forgetting.forget_owed().await?)
}

fn show(app: &App, pending: &[Followed]) {
    let now = app.clock.now().as_micros();
    let ages = pending.iter().map(|(pending, _)| now - pending.begun_at.as_micros());
    let oldest = ages.max().unwrap_or_default();
    app.counters.oldest_erasure.set(oldest / 1_000_000);
    let count = i64::try_from(pending.len()).unwrap_or(i64::MAX);
    app.counters.erasures_pending.set(count);
}

/// Finishes those pending erasures for which there is something to do, and returns all of them. `known` are those that
/// this process has seen before.
pub(super) async fn finish_all(app: &App, known: &[Followed]) -> Result<Vec<Followed>, Failure> {
    let mut all: Vec<Followed> = Vec::new();
    loop {
        let after = all.last().map(|(last, _)| last.subject);
        let page = pending::page(&app.operations, after).await?;
        if page.is_empty() {
            return Ok(all);
        }
        for pending in page {
            if waits_for_stragglers(&pending, known, app.clock.now()) {
                all.push((pending, true));
                continue;
            }
            let is_followed = finish(app, &pending).await.unwrap_or_else(|error| {
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
async fn finish(app: &App, pending: &Pending) -> Result<bool, CommandError> {
    let now = app.clock.now();
    // The last event says it, also where this build cannot read one before it.
    let is_erased = match app.erased_event(pending.subject).await {
        Ok(Some(_)) => true,
        Ok(None) | Err(StoreError::KeyUnusable(_) | StoreError::Corrupt(_)) => {
            let operation = pending.operation.clone();
            let metadata = operation.map_or_else(CommandMetadata::system, CommandMetadata::operator);
            match app.erase_if_key_is_destroyed(pending.subject, &metadata).await {
                // The log was restored to a time before their account, and their key is destroyed.
                Err(CommandError::Refused(Refusal::AccountIsUnknown)) => true,
                other => other?,
            }
        }
        Err(error) => return Err(error.into()),
    };
    let is_over = if is_erased {
        app.finish_erasure(pending.subject, &CommandMetadata::system()).await?;
        // SQLite must not keep the bytes of the rows.
        app.operations.owe_forgetting().await?;
        let is_over = pending.is_older_than(STRAGGLERS_SECONDS, now);
        if is_over {
            app.conclude_operation(pending.subject).await?;
        }
        is_over
    } else {
        pending.is_older_than(ABANDONED_SECONDS, now)
    };
    if is_over {
        pending::end(&app.operations, pending).await?;
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
        let pending = |begun_at| Pending { subject: UserId(Uuid::from_u128(1)), begun_at, operation: None };
        let (mut known, mut times) = (Vec::new(), Vec::new());
        for seconds in (0..=120).step_by(5) {
            if !waits_for_stragglers(&pending(begun_at), &known, begun_at.plus_seconds(seconds)) {
                times.push(seconds);
            }
            known = vec![(pending(begun_at), true)];
        }
        assert_eq!(times, [0, 120]);
        let later = begun_at.plus_seconds(60);
        assert!(!waits_for_stragglers(&pending(later), &known, later), "it was begun again");
        let unfinished = [(pending(begun_at), false)];
        assert!(!waits_for_stragglers(&pending(begun_at), &unfinished, begun_at));
    }
}
