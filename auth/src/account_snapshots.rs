//! Encrypted snapshots of accounts with many events; each login is one.

use std::time::Duration;

use aggregate::{Loaded, SnapshotSql, SnapshotTable, Snapshots};
use async_trait::async_trait;
use database::Database;
use event_store::StreamHead;
use events::{Account, EventId, Timestamp, UserId};
use runtime::Rounds;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::second_factor::Sealing;

/// Each has up to about 30 KB.
const SQL: SnapshotSql = SnapshotSql {
    of: "account",
    fold: 3,
    most: 10_000,
    table: "account_snapshots",
    key: "owner",
    put: "INSERT INTO account_snapshots (fold, owner, version, state) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (owner) DO UPDATE SET fold = excluded.fold, version = excluded.version, state = excluded.state",
};
/// The pause between two cleanups.
const EVERY: Duration = Duration::from_secs(3_600);

/// The table of snapshots.
pub(crate) struct AccountSnapshots {
    table: SnapshotTable,
    sealing: Sealing,
}

/// The stored form of an account.
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
        Self {
            table: SnapshotTable::new(operations, SQL),
            sealing,
        }
    }
}

#[async_trait]
impl Snapshots<Account> for AccountSnapshots {
    async fn find(&self, id: &UserId) -> Option<Loaded<Account>> {
        let sealed = self.table.find(id.0).await?;
        // A snapshot that cannot be decrypted is damaged, or from before the pepper changed, and counts as none.
        let opened = self.sealing.open_snapshot(*id, &sealed.into())?;
        let kept: Kept = serde_json::from_slice(&opened).ok()?;
        Some(Loaded {
            end: Some(StreamHead {
                version: kept.version,
                position: kept.position,
                id: kept.event,
            }),
            state: Some(kept.account),
            recorded_at: kept.recorded_at,
        })
    }

    async fn put(&self, id: &UserId, loaded: &Loaded<Account>) {
        // An erased person gets no snapshot.
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
        let json = serde_json::to_vec(&kept).ok();
        let sealed = json.and_then(|json| self.sealing.seal_snapshot(*id, &json));
        let Some(sealed) = sealed else {
            tracing::warn!(account.id = %id, "a snapshot of an account cannot be sealed");
            return;
        };
        let values = [id.0.into(), kept.version.into(), (*sealed).into()];
        self.table.put(id, values).await;
    }
}

/// Deletes snapshots of an older fold, and surplus ones of the shortest streams, once an hour until `stop` is
/// cancelled.
pub(crate) async fn keep_few(operations: Database, stop: CancellationToken) {
    let table = SnapshotTable::new(operations, SQL);
    let mut rounds = Rounds::every(EVERY, stop);
    while rounds.next().await {
        if let Err(error) = table.clean_up().await {
            tracing::warn!(%error, "old snapshots of accounts cannot be deleted");
        }
    }
}
