//! Repeats erasures after a backup was restored: an erased person must have no key again, and a person whose key is
//! destroyed must be erased in the log.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use events::{StreamName, UserId};
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use super::{finishing::finish_all, pending};
use crate::{auth::Auth, command_metadata::CommandMetadata, error::Failure};

/// The pause between two checks of the log. Each reads the number of destroyed keys.
const EVERY: Duration = Duration::from_secs(60);
/// The most keys in a page.
const AT_ONCE: u64 = 500;

/// Called before auth answers requests. Destroys restored keys of erased people, and erases people whose key is
/// destroyed but who are not erased in the log.
///
/// # Errors
/// When the log or the keys cannot be read, or a key cannot be destroyed.
pub(crate) async fn replay_erasures(auth: &Auth) -> anyhow::Result<()> {
    let unexplained = replay(auth)
        .await
        .context("it cannot be made sure that whoever was erased stays erased")?;
    if unexplained > 0 {
        erase_whose_keys_are_destroyed(auth)
            .await
            .context("it cannot be found out whose keys are destroyed and who is not erased")?;
    }
    Ok(())
}

/// Repeats this for keys regularly, so that the next start has little to read.
pub(crate) async fn replay_new_erasures(auth: Arc<Auth>, stop: CancellationToken) {
    let mut rounds = Rounds::every(EVERY, stop).after_a_pause();
    while rounds.next().await {
        if let Err(error) = replay(&auth).await {
            tracing::warn!(%error, "the erasures in the log cannot be followed, trying again");
        }
    }
}

/// Destroys restored keys of erased people. Returns how many more keys are destroyed than people were erased.
async fn replay(auth: &Auth) -> Result<u64, Failure> {
    let erasures = auth.subject_keys.erasures(&*auth.store).await;
    let erasures = erasures.map_err(Failure::SubjectKeys)?;
    for revived in &erasures.revived {
        tracing::warn!(account.id = %revived, "the log has erased a person whose key is not destroyed: it is destroyed now");
        // Other data may have been restored together with the key.
        if let Err(error) = auth.finish_erasure(*revived, &CommandMetadata::system()).await {
            tracing::warn!(%error, account.id = %revived, "what follows from an erasure cannot be done again");
            auth.destroy_key(*revived).await?;
        }
    }
    let remembered = auth.subject_keys.remember(&erasures).await;
    remembered.map_err(Failure::SubjectKeys)
}

async fn erase_whose_keys_are_destroyed(auth: &Auth) -> Result<(), Failure> {
    let mut last = None;
    loop {
        let page = auth.subject_keys.destroyed_page(last, AT_ONCE).await;
        let page = page.map_err(Failure::SubjectKeys)?;
        let Some(end) = page.last() else { break };
        last = Some(*end);
        for person in page {
            if !is_to_be_erased(auth, person).await? {
                continue;
            }
            tracing::warn!(account.id = %person, "the key of a person is destroyed whom the log has not erased: they are erased now");
            let begun = pending::begin(&auth.operations, person, None, auth.clock.now()).await;
            begun.map_err(Failure::Operations)?;
        }
    }
    // A failed part is tried again later.
    finish_all(auth, &[]).await.map(drop)
}

/// Whether the log has an account of `person` that is not erased.
async fn is_to_be_erased(auth: &Auth, person: UserId) -> Result<bool, Failure> {
    let head = auth.store.stream_head(&StreamName::account(person)).await;
    if head.map_err(aggregate::RepositoryError::Store)?.is_none() {
        return Ok(false);
    }
    let erased = auth.erased_event(person).await;
    Ok(erased.map_err(aggregate::RepositoryError::Store)?.is_none())
}
