//! States of accounts with many events: each login is one. Sealed, since there is in them who somebody is.

use std::time::Duration;

use aggregate::{Loaded, Snapshots};
use async_trait::async_trait;
use database::{Database, DatabaseError};
use event_store::StreamHead;
use events::{Account, EventId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::second_factor::Sealing;

/// The meaning of what is kept. To be raised when the fold of accounts changes, so that what an older one made is ignored.
const FOLD: i64 = 1;
/// No request waits longer for a snapshot, which it can do without.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many are kept, of up to some 30 KB each.
const MOST: u64 = 10_000;
/// Rows deleted at once, so that nobody waits long for a lock.
const ROWS: u64 = 1_000;
/// Between two looks whether there are too many.
const EVERY: Duration = Duration::from_secs(3_600);

/// The table of snapshots.
pub(crate) struct AccountSnapshots {
    operations: Database,
    sealing: Sealing,
}

/// What is kept of an account.
#[derive(Serialize, Deserialize)]
struct Kept {
    account: Account,
    recorded_at: Timestamp,
    version: u64,
    position: u64,
    event: EventId,
}

impl AccountSnapshots {
    pub(crate) const fn new(operations: Database, sealing: Sealing) -> Self {
        Self { operations, sealing }
    }

    async fn read(&self, id: UserId) -> Result<Option<Loaded<Account>>, DatabaseError> {
        const SQL: &str = "SELECT state FROM account_snapshots WHERE owner = $1 AND fold = $2";
        let row = self
            .operations
            .fetch_optional(SQL, &[id.0.into(), FOLD.into()])
            .await?;
        let Some(row) = row else { return Ok(None) };
        // What does not open is from before the pepper was another, or damaged, and as good as none.
        let opened = self.sealing.open_snapshot(id, &row.text("state")?.into());
        let kept = opened.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(kept.map(|kept: Kept| Loaded {
            end: Some(StreamHead {
                version: kept.version,
                position: kept.position,
                id: kept.event,
            }),
            state: Some(kept.account),
            recorded_at: kept.recorded_at,
        }))
    }

    async fn write(&self, id: UserId, kept: &Kept) -> Result<(), DatabaseError> {
        // Where a log was restored the newer one may have the smaller version, so that the last one written counts.
        const SQL: &str = "INSERT INTO account_snapshots (owner, fold, version, state) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (owner) DO UPDATE SET fold = excluded.fold, version = excluded.version, state = excluded.state";
        let json = serde_json::to_vec(kept).map_err(|error| DatabaseError::Unexpected(error.to_string()))?;
        let Some(sealed) = self.sealing.seal_snapshot(id, &json) else {
            return Err(DatabaseError::Unexpected(
                "a snapshot cannot be sealed".to_owned(),
            ));
        };
        let values = [id.0.into(), FOLD.into(), kept.version.into(), (*sealed).into()];
        self.operations.execute(SQL, &values).await.map(drop)
    }
}

#[async_trait]
impl Snapshots<Account> for AccountSnapshots {
    async fn find(&self, id: &UserId) -> Option<Loaded<Account>> {
        match tokio::time::timeout(PATIENCE, self.read(*id)).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::warn!(account.id = %id, %error, "cannot read the snapshot of an account, doing without");
                None
            }
            Err(_) => None,
        }
    }

    async fn put(&self, id: &UserId, loaded: &Loaded<Account>) {
        // Nothing is kept of somebody who was erased.
        let (Some(account), Some(end)) = (
            loaded.state.as_ref().filter(|account| !account.erased),
            loaded.end,
        ) else {
            return;
        };
        let kept = Kept {
            account: account.clone(),
            recorded_at: loaded.recorded_at,
            version: end.version,
            position: end.position,
            event: end.id,
        };
        match tokio::time::timeout(PATIENCE, self.write(*id, &kept)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(account.id = %id, %error, "cannot keep a snapshot of an account")
            }
            Err(_) => tracing::warn!(account.id = %id, "cannot keep a snapshot of an account in time"),
        }
    }
}

/// Deletes the snapshots of an older fold, and those of the shortest streams beyond a number of them, once an hour until `stop`
/// is cancelled.
pub(crate) async fn keep_few(operations: Database, stop: CancellationToken) {
    loop {
        if let Err(error) = clean_up(&operations, MOST).await {
            tracing::warn!(%error, "old snapshots of accounts cannot be deleted");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn clean_up(operations: &Database, most: u64) -> Result<(), DatabaseError> {
    const SQL: &str = "DELETE FROM account_snapshots WHERE owner IN \
         (SELECT owner FROM account_snapshots ORDER BY version DESC LIMIT $1 OFFSET $2)";
    const OLD: &str = "DELETE FROM account_snapshots WHERE fold <> $1";
    operations.execute(OLD, &[FOLD.into()]).await?;
    while operations.execute(SQL, &[ROWS.into(), most.into()]).await? == ROWS {}
    Ok(())
}
