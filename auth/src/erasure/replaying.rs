//! Repeats erasures after a backup was restored: an erased person must have no key again, and a person whose key is
//! destroyed must be erased in the log.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use event_store::StoreError;
use events::{StreamName, UserId};
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use super::{finishing::finish_all, pending};
use crate::{app_state::App, command_metadata::CommandMetadata, error::Failure};

/// The pause between two checks of the log. Each reads the number of destroyed keys.
const INTERVAL: Duration = Duration::from_secs(60);
/// The most keys in a page.
const PAGE_SIZE: u64 = 500;

/// Called before auth answers requests. Destroys restored keys of erased people, and erases people whose key is
/// destroyed but who are not erased in the log.
pub(crate) async fn replay_erasures(app: &App) -> anyhow::Result<()> {
    let unexplained =
        replay(app).await.context("it cannot be made sure that whoever was erased stays erased")?;
    if unexplained > 0 {
        erase_whose_keys_are_destroyed(app)
            .await
            .context("it cannot be found out whose keys are destroyed and who is not erased")?;
    }
    Ok(())
}

/// Repeats this for keys regularly, so that the next start has little to read.
pub(crate) async fn replay_new_erasures(app: Arc<App>, stop: CancellationToken) {
    let mut rounds = Rounds::every(INTERVAL, stop).after_a_pause();
    while rounds.next().await {
        if let Err(error) = replay(&app).await {
            tracing::warn!(%error, "the erasures in the log cannot be followed, trying again");
        }
    }
}

/// Destroys restored keys of erased people. Returns how many more keys are destroyed than people were erased.
async fn replay(app: &App) -> Result<u64, Failure> {
    let erasures = app.subject_keys.erasures(&*app.store).await?;
    for revived in &erasures.revived {
        tracing::warn!(account.id = %revived, "the log has erased a person whose key is not destroyed: it is destroyed now");
        // Other data may have been restored together with the key.
        if let Err(error) = app.finish_erasure(*revived, &CommandMetadata::system()).await {
            tracing::warn!(%error, account.id = %revived, "what follows from an erasure cannot be done again");
            app.destroy_key(*revived).await?;
        }
    }
    Ok(app.subject_keys.remember(&erasures).await?)
}

async fn erase_whose_keys_are_destroyed(app: &App) -> Result<(), Failure> {
    let mut last = None;
    loop {
        let page = app.subject_keys.destroyed_page(last, PAGE_SIZE).await?;
        let Some(end) = page.last() else { break };
        last = Some(*end);
        for person in page {
            if !is_to_be_erased(app, person).await? {
                continue;
            }
            tracing::warn!(account.id = %person, "the key of a person is destroyed whom the log has not erased: they are erased now");
            pending::begin(&app.operations, person, None, app.clock.now()).await?;
        }
    }
    // A failed part is tried again later.
    finish_all(app, &[]).await.map(drop)
}

/// Whether the log has an account of `person` that is not erased.
async fn is_to_be_erased(app: &App, person: UserId) -> Result<bool, Failure> {
    let head = app.store.stream_head(&StreamName::account(person)).await?;
    if head.is_none() {
        return Ok(false);
    }
    match app.erased_event(person).await {
        // Nobody can use that account, and others must not wait for it.
        Err(StoreError::Corrupt(error)) => {
            tracing::error!(%error, account.id = %person, "it cannot be told whether a person without a key is erased");
            Ok(false)
        }
        erased => Ok(erased?.is_none()),
    }
}
