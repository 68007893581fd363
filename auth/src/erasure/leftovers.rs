//! Finds snapshots of erased people that a command has left after their erasure was complete.

use std::{sync::Arc, time::Duration};

use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use super::{
    operations::{self, TABLES_THAT_STAY},
    pending,
};
use crate::{app_state::App, error::Failure};

/// The pause between two searches, each of which reads the owners of all snapshots.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// The most owners in a page.
const PAGE_SIZE: u64 = 500;

/// Lets the erasure of people be completed again whose key is destroyed and of whom there are snapshots. Searches at
/// once, and then repeatedly until `stop` is cancelled.
pub(crate) async fn erase_leftovers(app: Arc<App>, stop: CancellationToken) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        if let Err(error) = begin_again(&app).await {
            tracing::warn!(%error, "it cannot be found out what is left of erased people, trying again");
        }
    }
}

async fn begin_again(app: &App) -> Result<(), Failure> {
    for table in TABLES_THAT_STAY {
        let mut last = None;
        loop {
            let owners = operations::owners(&app.operations, table, last, PAGE_SIZE).await?;
            let Some(end) = owners.last() else { break };
            last = Some(*end);
            for person in app.subject_keys.destroyed(&owners).await? {
                tracing::warn!(account.id = %person, table, "a command has left data of a person who was erased: it is deleted now");
                pending::begin(&app.operations, person, None, app.clock.now()).await?;
            }
        }
    }
    Ok(())
}
