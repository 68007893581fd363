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

use crate::keys::AccountCipher;

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
const INTERVAL: Duration = Duration::from_secs(3_600);

pub(crate) struct AccountSnapshots {
    table: SnapshotTable,
    cipher: AccountCipher,
}

/// The stored form of an account.
#[derive(Serialize, Deserialize)]
struct StoredAccount {
    account: Account,
    recorded_at: Timestamp,
    version: u64,
    position: u64,
    event: EventId,
}

impl AccountSnapshots {
    pub(crate) const fn new(operations: Database, cipher: AccountCipher) -> Self {
        Self { table: SnapshotTable::new(operations, SQL), cipher }
    }
}

#[async_trait]
impl Snapshots<Account> for AccountSnapshots {
    async fn find(&self, id: &UserId) -> Option<Loaded<Account>> {
        let encrypted = self.table.find(id.0).await?;
        // A snapshot that cannot be decrypted is damaged, or from before the pepper changed, and counts as none.
        let decrypted = self.cipher.decrypt_snapshot(*id, &encrypted.into())?;
        let stored: StoredAccount = serde_json::from_slice(&decrypted).ok()?;
        Some(Loaded {
            end: Some(StreamHead { version: stored.version, position: stored.position, id: stored.event }),
            state: Some(stored.account),
            recorded_at: stored.recorded_at,
        })
    }

    async fn put(&self, id: &UserId, loaded: &Loaded<Account>) {
        // An erased person gets no snapshot.
        let (Some(account), Some(end)) =
            (loaded.state.as_ref().filter(|account| !account.erased), loaded.end)
        else {
            return;
        };
        let stored = StoredAccount {
            account: account.clone(),
            recorded_at: loaded.recorded_at,
            version: end.version,
            position: end.position,
            event: end.id,
        };
        let json = serde_json::to_vec(&stored).ok();
        let encrypted = json.and_then(|json| self.cipher.encrypt_snapshot(*id, &json));
        let Some(encrypted) = encrypted else {
            tracing::warn!(account.id = %id, "a snapshot of an account cannot be encrypted");
            return;
        };
        let values = [id.0.into(), stored.version.into(), (*encrypted).into()];
        self.table.put(id, values).await;
    }
}

/// Deletes snapshots of an older fold, and surplus ones of the shortest streams, once an hour until `stop` is
/// cancelled.
pub(crate) async fn keep_cleaning_up(operations: Database, stop: CancellationToken) {
    let table = SnapshotTable::new(operations, SQL);
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        if let Err(error) = table.clean_up().await {
            tracing::warn!(%error, "old snapshots of accounts cannot be deleted");
        }
    }
}
