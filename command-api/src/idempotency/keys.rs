//! The table of keys: who works on a command, and what was answered.

use std::{sync::Arc, time::Duration};

use database::Database;
use events::{TaskId, Timestamp, UserId};
use service::Clock;

use super::{IdempotencyError, IdempotencyKey, RequestHash, StoredAnswer};

/// How long one process may work on a command before another takes over. Far more than a command takes.
const LEASE_SECONDS: i64 = 5;
/// How long a request waits for the answer to its twin. More than a lease, so that it gets to take over.
const PATIENCE: Duration = Duration::from_secs(8);

/// The keys of everyone.
#[derive(Clone)]
pub struct IdempotencyKeys {
    operations: Database,
    clock: Arc<dyn Clock>,
}

/// What a request with a key has to do.
#[derive(Debug)]
pub enum Claim {
    /// Give this answer again.
    Answered(StoredAnswer),
    /// Run the command, then settle the lease.
    Run(Lease),
}

/// The right to work on the command that a key stands for.
#[derive(Debug, Clone)]
pub struct Lease {
    owner: UserId,
    key: IdempotencyKey,
    /// The task that the command is about.
    pub task: TaskId,
    /// When the key was first seen.
    pub since: Timestamp,
    /// Whether another process may have worked on it before.
    pub taken_over: bool,
    /// What an earlier try got done, as it described it itself.
    pub progress: Option<String>,
    /// When another process may take over.
    pub until: Timestamp,
}

impl IdempotencyKeys {
    /// The keys in `operations`.
    #[must_use]
    pub fn new(operations: Database, clock: Arc<dyn Clock>) -> Self {
        Self { operations, clock }
    }

    /// Finds out what to do about a request of `owner` with `key`. `task` is what it is about: for a creation
    /// an id that is used if this is the first try.
    ///
    /// # Errors
    /// [`IdempotencyError::Reused`] when the key stands for another request; [`IdempotencyError::Busy`] when
    /// a twin is worked on for too long; otherwise when the database fails.
    pub async fn claim(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        hash: &RequestHash,
        task: TaskId,
    ) -> Result<Claim, IdempotencyError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(5);
        loop {
            let now = self.clock.now();
            let lease = Lease {
                owner,
                key: key.clone(),
                task,
                since: now,
                taken_over: false,
                progress: None,
                until: now.plus_seconds(LEASE_SECONDS),
            };
            if self.insert(&lease, hash).await? {
                return Ok(Claim::Run(lease));
            }
            match self.find(owner, key, hash).await? {
                None => continue,
                Some(Found::Answered(answer)) => return Ok(Claim::Answered(answer)),
                Some(Found::Leased {
                    task,
                    since,
                    until,
                    progress,
                }) if until < now => {
                    let lease = Lease {
                        task,
                        since,
                        taken_over: true,
                        progress,
                        ..lease
                    };
                    if self.take_over(&lease, until).await? {
                        return Ok(Claim::Run(lease));
                    }
                }
                Some(Found::Leased { .. }) => {}
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(IdempotencyError::Busy);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Stores the answer, and returns the one that counts: another's, if that was first. `None` when the
    /// lease ran out before an answer without effect was stored: claim again.
    ///
    /// An answer to a command that had an effect is stored in any case, since whoever took over finds the
    /// same effect in the log.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle(
        &self,
        lease: &Lease,
        answer: &StoredAnswer,
        effect: bool,
    ) -> Result<Option<StoredAnswer>, IdempotencyError> {
        let stored = self
            .operations
            .execute(
                "UPDATE idempotency_keys SET response = $1, progress = NULL, leased_until = 0 \
                 WHERE owner = $2 AND key = $3 AND response IS NULL AND (leased_until = $4 OR $5)",
                &[
                    serde_json::to_string(answer)?.into(),
                    lease.owner.0.into(),
                    lease.key.as_str().into(),
                    lease.until.as_micros().into(),
                    effect.into(),
                ],
            )
            .await?;
        if stored == 1 {
            return Ok(Some(answer.clone()));
        }
        let row = self
            .operations
            .fetch_optional(
                "SELECT response FROM idempotency_keys WHERE owner = $1 AND key = $2",
                &[lease.owner.0.into(), lease.key.as_str().into()],
            )
            .await?;
        match row {
            Some(row) => Ok(row
                .optional_text("response")?
                .as_deref()
                .map(serde_json::from_str)
                .transpose()?),
            // Cleaned up in the meantime.
            None => Ok(Some(answer.clone())),
        }
    }

    /// Gives the lease up without an answer, so that the next try need not wait.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, lease: &Lease) -> Result<(), IdempotencyError> {
        self.operations
            .execute(
                "UPDATE idempotency_keys SET leased_until = 0 WHERE owner = $1 AND key = $2 AND leased_until = $3",
                &[lease.owner.0.into(), lease.key.as_str().into(), lease.until.as_micros().into()],
            )
            .await?;
        Ok(())
    }

    /// Gives the lease up without an answer, and leaves word of what is done. Nothing happens when the lease
    /// has run out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pause(&self, lease: &Lease, progress: &str) -> Result<(), IdempotencyError> {
        self.operations
            .execute(
                "UPDATE idempotency_keys SET leased_until = 0, progress = $1 \
                 WHERE owner = $2 AND key = $3 AND response IS NULL AND leased_until = $4",
                &[
                    progress.into(),
                    lease.owner.0.into(),
                    lease.key.as_str().into(),
                    lease.until.as_micros().into(),
                ],
            )
            .await?;
        Ok(())
    }

    /// Gives up the leases of processes that are no more. Only where no other process can hold one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_all(&self) -> Result<(), IdempotencyError> {
        self.operations
            .execute(
                "UPDATE idempotency_keys SET leased_until = 0 WHERE response IS NULL",
                &[],
            )
            .await?;
        Ok(())
    }

    async fn insert(&self, lease: &Lease, hash: &RequestHash) -> Result<bool, IdempotencyError> {
        let inserted = self
            .operations
            .execute(
                "INSERT INTO idempotency_keys (owner, key, request_hash, task_id, leased_until, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (owner, key) DO NOTHING",
                &[
                    lease.owner.0.into(),
                    lease.key.as_str().into(),
                    hash.as_bytes().into(),
                    lease.task.0.into(),
                    lease.until.as_micros().into(),
                    lease.since.as_micros().into(),
                ],
            )
            .await?;
        Ok(inserted == 1)
    }

    async fn find(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        hash: &RequestHash,
    ) -> Result<Option<Found>, IdempotencyError> {
        let row = self
            .operations
            .fetch_optional(
                "SELECT request_hash, task_id, response, progress, leased_until, created_at FROM idempotency_keys \
                 WHERE owner = $1 AND key = $2",
                &[owner.0.into(), key.as_str().into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        if row.bytes("request_hash")? != hash.as_bytes() {
            return Err(IdempotencyError::Reused);
        }
        Ok(Some(match row.optional_text("response")? {
            Some(response) => Found::Answered(serde_json::from_str(&response)?),
            None => Found::Leased {
                task: TaskId(row.uuid("task_id")?),
                since: Timestamp::from_micros(row.integer("created_at")?),
                until: Timestamp::from_micros(row.integer("leased_until")?),
                progress: row.optional_text("progress")?,
            },
        }))
    }

    async fn take_over(&self, lease: &Lease, from: Timestamp) -> Result<bool, IdempotencyError> {
        let updated = self
            .operations
            .execute(
                "UPDATE idempotency_keys SET leased_until = $1 \
                 WHERE owner = $2 AND key = $3 AND response IS NULL AND leased_until = $4",
                &[
                    lease.until.as_micros().into(),
                    lease.owner.0.into(),
                    lease.key.as_str().into(),
                    from.as_micros().into(),
                ],
            )
            .await?;
        Ok(updated == 1)
    }
}

enum Found {
    Answered(StoredAnswer),
    Leased {
        task: TaskId,
        since: Timestamp,
        until: Timestamp,
        progress: Option<String>,
    },
}
