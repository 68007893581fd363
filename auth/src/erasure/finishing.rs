//! Finishes erasures that have begun: those whose process died, and what arrived after the first try.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::pending::{self, Pending};
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    error::{CommandError, Failure},
};

/// How often somebody looks.
const EVERY: Duration = Duration::from_secs(5);
/// Until then a command that was under way when the person was erased may still leave something, so that all is done
/// again: more than a token lives that nobody has told to be worthless, and more than a request takes.
const STRAGGLERS_SECONDS: i64 = 120;
/// Whoever is not erased so long after somebody was about to was not erased at all.
const ABANDONED_SECONDS: i64 = 600;

/// Finishes what has begun, again and again, until `stop` is cancelled.
pub(crate) async fn finish_what_has_begun(auth: Arc<Auth>, stop: CancellationToken) {
    let mut known = Vec::new();
    loop {
        let round = round(&auth, &mut known);
        tokio::select! {
            () = stop.cancelled() => return,
            done = round => if let Err(error) = done {
                tracing::warn!(%error, "the erasures that have begun cannot be read, trying again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// An erasure that has begun, and whether everything that follows from it was done in this round.
pub(super) type Followed = (Pending, bool);

/// Finishes what has begun. `known` is what there was in the last round: when something came, was followed or went since, rows
/// were deleted, and SQLite must not keep their bytes. A round that falls between the two finds nothing to follow yet.
async fn round(auth: &Auth, known: &mut Vec<Followed>) -> Result<(), Failure> {
    let present = finish_all(auth).await?;
    show(auth, &present);
    if *known != present {
        let forgotten = auth.operations.forget_deleted().await;
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

/// Finishes what has begun, and returns all of it.
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

/// Does what follows from an erasure. Returns whether there was anything to follow.
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
