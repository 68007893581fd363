//! Finishes erasures that have begun: those whose process ended, and data that arrived after the first attempt.

use std::{sync::Arc, time::Duration};

use database::Forgetting;
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use super::pending::{self, Pending};
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    error::{CommandError, Failure},
};

/// How often pending erasures are read.
const EVERY: Duration = Duration::from_secs(5);
/// For this long, a command that was running during the erasure may still leave data, so the erasure is repeated:
/// longer than an access token without a revocation is accepted, and longer than a request takes.
const STRAGGLERS_SECONDS: i64 = 120;
/// An erasure that has not happened this long after it was announced is abandoned.
const ABANDONED_SECONDS: i64 = 600;

/// Finishes pending erasures repeatedly, until `stop` is cancelled. A round may be broken off.
pub(crate) async fn finish_what_has_begun(auth: Arc<Auth>, stop: CancellationToken) {
    let mut known = Vec::new();
    let mut forgetting = Forgetting::of(auth.operations.clone());
    let mut rounds = Rounds::every(EVERY, stop);
    while rounds.next().await {
        if let Err(error) = round(&auth, &mut known, &mut forgetting).await {
            tracing::warn!(%error, "the erasures that have begun cannot be read, trying again");
        }
    }
}

/// A pending erasure, and whether all its consequences were completed in this round.
pub(super) type Followed = (Pending, bool);

/// Finishes pending erasures. `known` are those of the last round: if any was added, completed or removed since, rows
/// were deleted, and SQLite must not keep their bytes. A round in between has nothing to do yet.
async fn round(auth: &Auth, known: &mut Vec<Followed>, forgetting: &mut Forgetting) -> Result<(), Failure> {
    let present = finish_all(auth).await?;
    show(auth, &present);
    if *known != present {
        let forgotten = forgetting.forget_deleted().await;
        if forgotten.map_err(Failure::Operations)? {
            *known = present;
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

/// Finishes all pending erasures, and returns them.
pub(super) async fn finish_all(auth: &Auth) -> Result<Vec<Followed>, Failure> {
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
            let is_followed = finish(auth, &pending).await.unwrap_or_else(|error| {
                tracing::warn!(%error, account.id = %pending.subject, "an erasure is not finished, trying again");
                false
            });
            all.push((pending, is_followed));
        }
    }
}

/// Completes the consequences of an erasure. Returns whether there were any.
async fn finish(auth: &Auth, pending: &Pending) -> Result<bool, CommandError> {
    let age = auth.clock.now().as_micros() - pending.begun_at.as_micros();
    let is_older_than = |seconds: i64| age >= seconds * 1_000_000;
    let account = auth.impersonal_account(pending.subject).await?;
    let is_erased = match account.state {
        Some(account) if account.erased => true,
        Some(_) => {
            let operation = pending.operation.clone();
            let metadata = operation.map_or_else(CommandMetadata::system, CommandMetadata::operator);
            auth.erase_if_key_is_destroyed(pending.subject, &metadata).await?
        }
        None => false,
    };
    let is_over = if is_erased {
        auth.finish_erasure(pending.subject, &CommandMetadata::system())
            .await?;
        let is_over = is_older_than(STRAGGLERS_SECONDS);
        if is_over {
            auth.conclude_operation(pending.subject).await?;
        }
        is_over
    } else {
        is_older_than(ABANDONED_SECONDS)
    };
    if is_over {
        pending::end(&auth.operations, pending)
            .await
            .map_err(Failure::Operations)?;
    }
    Ok(is_erased)
}
