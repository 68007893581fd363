//! The table of keys: who works on a command, and what was answered. Times are the database's, so that processes with
//! different clocks agree on who may work. A process measures its own lease by a monotonic clock, and one that it waits
//! for, too, since the database's clock may be set back.

use std::time::Duration;

use database::{Database, Value};
use events::{TaskId, UserId};
use runtime::{Backoff, KeyedPermit, KeyedSemaphore, NoKeyedPermit, new_id};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    IdempotencyError, RequestHash,
    quota::Quota,
    statements::{Statements, micros},
};
use crate::handling::IdempotencyKey;

/// How long one process may work on a command before another takes over. Much longer than a command takes.
const LEASE: Duration = Duration::from_secs(5);
/// How long a request waits for the answer to its duplicate. Longer than a lease, so that it can take over.
const TIMEOUT: Duration = Duration::from_secs(8);
/// The most requests with one key in this process, including the one that works. The others wait for its answer without
/// a permit for commands and without a database connection.
const DUPLICATES: usize = 512;
/// The longest pause between two checks of a duplicate in another process.
const MAX_PAUSE: Duration = Duration::from_millis(500);

pub struct IdempotencyKeys {
    operations: Database,
    statements: Statements,
    duplicates: KeyedSemaphore<(UserId, IdempotencyKey)>,
    quota: Quota,
}

/// A request with a key.
#[derive(Debug)]
pub struct Keyed<'a> {
    /// The sender.
    pub owner: UserId,
    pub key: &'a IdempotencyKey,
    /// The hash of its content.
    pub hash: RequestHash,
    /// The task that it is about. For a creation, the id to use if this is the first try.
    pub task: TaskId,
    /// The states of its tasks before the request, for later tries.
    pub before: String,
}

/// The turn of a request among those with its key in this process.
#[derive(Debug)]
pub struct KeyTurn {
    /// `None` if the one before it has kept the turn for longer than its lease.
    permit: Option<KeyedPermit<(UserId, IdempotencyKey)>>,
    /// How long the request may still wait for the answer to a duplicate in another process.
    left: Duration,
}

/// What to do with a request with a key.
#[derive(Debug)]
pub enum Claim {
    /// Repeat this answer.
    Answered(String),
    /// Run the command, then complete the lease.
    Run(Lease),
}

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    Ours,
    /// Another answer was stored first.
    Theirs(String),
    /// The lease expired before: claim the key again.
    Not,
}

/// The right to work on the command with a key.
#[derive(Debug)]
pub struct Lease {
    owner: UserId,
    key: IdempotencyKey,
    id: Uuid,
    /// The task that the command is about.
    pub task: TaskId,
    /// The states of the tasks when the key was first seen, if known.
    pub before: Option<String>,
    /// Whether another try may have worked on it before.
    pub taken_over: bool,
    /// The progress that an earlier try recorded.
    pub progress: Option<String>,
    /// Until then no other process takes over.
    pub until: Instant,
    _turn: Option<KeyedPermit<(UserId, IdempotencyKey)>>,
}

impl Lease {
    /// The bytes that are stored beside the key until there is an answer.
    fn stored_bytes(&self) -> u64 {
        let texts = [&self.before, &self.progress];
        texts.into_iter().flatten().map(|text| text.len() as u64).sum()
    }
}

impl IdempotencyKeys {
    /// The keys in `operations`. Each person may have `bytes_per_person` of keys and answers together.
    pub fn new(operations: Database, bytes_per_person: u64) -> Self {
        Self {
            statements: Statements::new(&operations),
            duplicates: KeyedSemaphore::new(1, DUPLICATES),
            quota: Quota::new(operations.clone(), bytes_per_person),
            operations,
        }
    }

    /// Waits for the turn of a request of `owner` with this key. It has it until its [claim](Self::claim) or the lease
    /// that it gets is dropped.
    ///
    /// # Errors
    /// [`IdempotencyError::Busy`] when too many wait already.
    pub async fn turn(&self, owner: UserId, key: &IdempotencyKey) -> Result<KeyTurn, IdempotencyError> {
        let begun = Instant::now();
        let permit = match self.duplicates.take((owner, key.clone()), LEASE).await {
            Ok(permit) => Some(permit),
            Err(NoKeyedPermit::Full) => return Err(IdempotencyError::Busy),
            Err(NoKeyedPermit::Late) => None,
        };
        let left = TIMEOUT.saturating_sub(begun.elapsed());
        Ok(KeyTurn { permit, left })
    }

    /// Decides what to do with `request`, whose turn it is.
    ///
    /// # Errors
    /// [`IdempotencyError::Reused`] when the key stands for another request; [`IdempotencyError::Busy`] when a
    /// duplicate takes too long; [`IdempotencyError::TooMany`] when the person has too many keys; otherwise when the
    /// database fails.
    pub async fn claim(&self, request: Keyed<'_>, turn: KeyTurn) -> Result<Claim, IdempotencyError> {
        let KeyTurn { permit, left } = turn;
        let deadline = Instant::now() + left;
        let is_welcome = self.quota.has_room(request.owner).await?;
        let mut backoff = Backoff::new(Duration::from_millis(5), MAX_PAUSE);
        let mut seen: Option<(i64, Instant)> = None;
        loop {
            let lease = Lease {
                owner: request.owner,
                key: request.key.clone(),
                id: new_id(),
                task: request.task,
                before: Some(request.before.clone()),
                taken_over: false,
                progress: None,
                // Taken before the database's clock was read, so that it ends before the lease does.
                until: Instant::now() + LEASE,
                _turn: None,
            };
            if is_welcome && self.insert(&lease, &request).await? {
                self.quota.add_key(request.owner, request.key, &request.before);
                return Ok(Claim::Run(Lease { _turn: permit, ..lease }));
            }
            match self.find(request.owner, request.key, &request.hash).await? {
                None if is_welcome => {}
                None => return Err(IdempotencyError::TooMany),
                Some(Found::Answered(answer)) => return Ok(Claim::Answered(answer)),
                Some(Found::Leased { row, is_over }) => {
                    // If the database's clock was set back, it ends much too late by that clock.
                    let since = match seen {
                        Some((until, since)) if until == row.until => since,
                        _ => seen.insert((row.until, Instant::now())).1,
                    };
                    let is_over = is_over || since.elapsed() > LEASE;
                    if is_over && self.take_over(&lease, row.until).await? {
                        return Ok(Claim::Run(Lease {
                            task: row.task,
                            before: row.before,
                            progress: row.progress,
                            taken_over: true,
                            _turn: permit,
                            ..lease
                        }));
                    }
                }
            }
            if Instant::now() >= deadline {
                return Err(IdempotencyError::Busy);
            }
            backoff.wait().await;
        }
    }

    /// What a request with this key was answered, if it was.
    ///
    /// # Errors
    /// [`IdempotencyError::Reused`] when the key stands for another request; otherwise when the database fails.
    pub async fn answer(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        hash: &RequestHash,
    ) -> Result<Option<String>, IdempotencyError> {
        Ok(match self.find(owner, key, hash).await? {
            Some(Found::Answered(answer)) => Some(answer),
            Some(Found::Leased { .. }) | None => None,
        })
    }

    /// Stores the answer, unless another's was first or the lease ran out before an answer without effect was stored.
    ///
    /// An answer to a command that had an effect is stored in any case, because a process that took over finds the
    /// same effect in the log.
    pub async fn complete(
        &self,
        lease: &Lease,
        answer: &str,
        effect: bool,
    ) -> Result<Stored, IdempotencyError> {
        let values =
            [answer.into(), lease.owner.0.into(), lease.key.as_str().into(), lease.id.into(), effect.into()];
        if self.changes(&self.statements.complete, &values).await? {
            self.quota.replace(lease.owner, lease.stored_bytes(), answer.len() as u64);
            return Ok(Stored::Ours);
        }
        let key = [lease.owner.0.into(), lease.key.as_str().into()];
        let row = self.operations.fetch_optional(&self.statements.answer, &key).await?;
        match row {
            Some(row) => Ok(row.optional_text("response")?.map_or(Stored::Not, Stored::Theirs)),
            // The row was deleted meanwhile.
            None => Ok(Stored::Ours),
        }
    }

    /// Releases the lease without an answer, so that the next try need not wait. `progress` records the work that is
    /// done. Does nothing when the lease has expired.
    pub async fn release(&self, lease: &Lease, progress: Option<&str>) -> Result<(), IdempotencyError> {
        let values = [
            progress.map(str::to_owned).into(),
            lease.owner.0.into(),
            lease.key.as_str().into(),
            lease.id.into(),
        ];
        let is_released = self.changes(&self.statements.release, &values).await?;
        if let Some(progress) = progress
            && is_released
        {
            let old = lease.progress.as_ref().map_or(0, String::len);
            self.quota.replace(lease.owner, old as u64, progress.len() as u64);
        }
        Ok(())
    }

    /// Deletes the key of `request`, if its answer is `answer`.
    pub async fn forget(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        answer: &str,
    ) -> Result<(), IdempotencyError> {
        let values = [owner.0.into(), key.as_str().into(), answer.into()];
        self.operations.execute(&self.statements.forget, &values).await?;
        Ok(())
    }

    /// Releases all leases. Only to be called where no other process can hold one.
    pub async fn release_all(&self) -> Result<(), IdempotencyError> {
        self.operations.execute(&self.statements.release_all, &[]).await?;
        Ok(())
    }

    async fn insert(&self, lease: &Lease, request: &Keyed<'_>) -> Result<bool, IdempotencyError> {
        let values = [
            request.owner.0.into(),
            request.key.as_str().into(),
            request.hash.as_bytes().into(),
            request.task.0.into(),
            request.before.as_str().into(),
            lease.id.into(),
            micros(LEASE).into(),
        ];
        self.changes(&self.statements.insert, &values).await
    }

    async fn find(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        hash: &RequestHash,
    ) -> Result<Option<Found>, IdempotencyError> {
        let values = [owner.0.into(), key.as_str().into()];
        let row = self.operations.fetch_optional(&self.statements.find, &values).await?;
        let Some(row) = row else { return Ok(None) };
        if row.bytes("request_hash")? != hash.as_bytes() {
            return Err(IdempotencyError::Reused);
        }
        if let Some(answer) = row.optional_text("response")? {
            return Ok(Some(Found::Answered(answer)));
        }
        Ok(Some(Found::Leased {
            is_over: row.integer("micros_left")? < 0,
            row: Leased {
                until: row.integer("leased_until")?,
                task: TaskId(row.uuid("task_id")?),
                before: row.optional_text("tasks_before")?,
                progress: row.optional_text("progress")?,
            },
        }))
    }

    /// Takes over the lease that is over and ended at `until`. When several try, one succeeds.
    async fn take_over(&self, lease: &Lease, until: i64) -> Result<bool, IdempotencyError> {
        let values = [
            lease.owner.0.into(),
            lease.key.as_str().into(),
            lease.id.into(),
            micros(LEASE).into(),
            until.into(),
        ];
        self.changes(&self.statements.take_over, &values).await
    }

    /// Whether the statement has found its row and changed it.
    async fn changes(&self, sql: &str, values: &[Value]) -> Result<bool, IdempotencyError> {
        Ok(self.operations.execute(sql, values).await? == 1)
    }
}

enum Found {
    Answered(String),
    Leased { row: Leased, is_over: bool },
}

struct Leased {
    /// When it ends, by the database's clock.
    until: i64,
    task: TaskId,
    before: Option<String>,
    progress: Option<String>,
}
