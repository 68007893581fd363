//! The table of keys: who works on a command, and what was answered. Times are the database's, so that processes whose
//! clocks differ agree on who may work; a process holds itself to its lease by a clock that nobody sets.

use std::time::Duration;

use database::Database;
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

/// How long one process may work on a command before another takes over. Far more than a command takes.
const LEASE: Duration = Duration::from_secs(5);
/// How long a request waits for the answer to its duplicate. More than a lease, so that it gets to take over.
const TIMEOUT: Duration = Duration::from_secs(8);
/// The most requests with one key that are here at once, the one that works among them. They wait without a connection.
const DUPLICATES: usize = 32;
/// The longest pause between two looks at a duplicate that another process works on.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The keys of everyone.
pub struct IdempotencyKeys {
    operations: Database,
    statements: Statements,
    duplicates: KeyedSemaphore<(UserId, IdempotencyKey)>,
    quota: Quota,
}

/// A request with a key.
#[derive(Debug)]
pub struct Keyed<'a> {
    /// Who sends it.
    pub owner: UserId,
    pub key: &'a IdempotencyKey,
    /// What it asks for.
    pub hash: RequestHash,
    /// The task that it is about: for a creation an id that is used if this is the first try.
    pub task: TaskId,
    /// Where the tasks that it is about stand, for later tries.
    pub before: String,
}

/// What a request with a key has to do.
#[derive(Debug)]
pub enum Claim {
    /// Give this answer again.
    Answered(String),
    /// Run the command, then complete the lease.
    Run(Lease),
}

/// What became of an answer that was to be stored.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is the one that counts.
    Ours,
    /// Another's was first.
    Theirs(String),
    /// The lease ran out before: claim again.
    Not,
}

/// The right to work on the command that a key stands for.
#[derive(Debug)]
pub struct Lease {
    owner: UserId,
    key: IdempotencyKey,
    id: Uuid,
    /// The task that the command is about.
    pub task: TaskId,
    /// Where the tasks stood when the key was first seen, if that is known.
    pub before: Option<String>,
    /// Whether another try may have worked on it before.
    pub taken_over: bool,
    /// What an earlier try got done, as it described it itself.
    pub progress: Option<String>,
    /// Until then nobody else takes over.
    pub until: Instant,
    _turn: Option<KeyedPermit<(UserId, IdempotencyKey)>>,
}

impl Lease {
    /// How many bytes are stored beside the key until there is an answer.
    fn stored_bytes(&self) -> u64 {
        let texts = [&self.before, &self.progress];
        texts.into_iter().flatten().map(|text| text.len() as u64).sum()
    }
}

impl IdempotencyKeys {
    /// The keys in `operations`. Each person may have keys and answers of `bytes_per_person` together.
    #[must_use]
    pub fn new(operations: Database, bytes_per_person: u64) -> Self {
        Self {
            statements: Statements::new(&operations),
            duplicates: KeyedSemaphore::new(1, DUPLICATES),
            quota: Quota::new(operations.clone(), bytes_per_person),
            operations,
        }
    }

    /// Finds out what to do about `request`.
    ///
    /// # Errors
    /// [`IdempotencyError::Reused`] when the key stands for another request; [`IdempotencyError::Busy`] when
    /// a duplicate is worked on for too long, or too many wait for it; [`IdempotencyError::TooMany`] when the person has too
    /// many keys; otherwise when the database fails.
    pub async fn claim(&self, request: Keyed<'_>) -> Result<Claim, IdempotencyError> {
        let deadline = Instant::now() + TIMEOUT;
        let duplicate = (request.owner, request.key.clone());
        let turn = match self.duplicates.take(duplicate, LEASE).await {
            Ok(turn) => Some(turn),
            Err(NoKeyedPermit::Full) => return Err(IdempotencyError::Busy),
            // Whoever has the turn has no lease any more.
            Err(NoKeyedPermit::Late) => None,
        };
        let is_welcome = self.quota.has_room(request.owner).await?;
        let mut backoff = Backoff::new(Duration::from_millis(5), LONGEST_PAUSE);
        loop {
            let lease = Lease {
                owner: request.owner,
                key: request.key.clone(),
                id: new_id(),
                task: request.task,
                before: Some(request.before.clone()),
                taken_over: false,
                progress: None,
                // From before the database's clock was read, so that it ends before the lease does.
                until: Instant::now() + LEASE,
                _turn: None,
            };
            if is_welcome && self.insert(&lease, &request).await? {
                self.quota.add_key(request.owner, request.key, &request.before);
                return Ok(Claim::Run(Lease { _turn: turn, ..lease }));
            }
            match self.find(&request).await? {
                None if is_welcome => continue,
                None => return Err(IdempotencyError::TooMany),
                Some(Found::Answered(answer)) => return Ok(Claim::Answered(answer)),
                Some(Found::Leased { row, is_over: true }) => {
                    if self.take_over(&lease).await? {
                        return Ok(Claim::Run(Lease {
                            task: row.task,
                            before: row.before,
                            progress: row.progress,
                            taken_over: true,
                            _turn: turn,
                            ..lease
                        }));
                    }
                }
                Some(Found::Leased { is_over: false, .. }) => {}
            }
            if Instant::now() >= deadline {
                return Err(IdempotencyError::Busy);
            }
            backoff.wait().await;
        }
    }

    /// Stores the answer, unless another's was first or the lease ran out before an answer without effect was stored.
    ///
    /// An answer to a command that had an effect is stored in any case, since whoever took over finds the
    /// same effect in the log.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn complete(
        &self,
        lease: &Lease,
        answer: &str,
        effect: bool,
    ) -> Result<Stored, IdempotencyError> {
        let values = [
            answer.into(),
            lease.owner.0.into(),
            lease.key.as_str().into(),
            lease.id.into(),
            effect.into(),
        ];
        if self
            .operations
            .execute(&self.statements.complete, &values)
            .await?
            == 1
        {
            self.quota
                .replace(lease.owner, lease.stored_bytes(), answer.len() as u64);
            return Ok(Stored::Ours);
        }
        let key = [lease.owner.0.into(), lease.key.as_str().into()];
        let row = self
            .operations
            .fetch_optional(&self.statements.answer, &key)
            .await?;
        match row {
            Some(row) => Ok(row.optional_text("response")?.map_or(Stored::Not, Stored::Theirs)),
            // Cleaned up in the meantime.
            None => Ok(Stored::Ours),
        }
    }

    /// Gives the lease up without an answer, so that the next try need not wait. `progress` is word of what is done.
    /// Nothing happens when the lease has run out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, lease: &Lease, progress: Option<&str>) -> Result<(), IdempotencyError> {
        let values = [
            progress.map(str::to_owned).into(),
            lease.owner.0.into(),
            lease.key.as_str().into(),
            lease.id.into(),
        ];
        let released = self.operations.execute(&self.statements.release, &values).await?;
        if let Some(progress) = progress
            && released == 1
        {
            let old = lease.progress.as_ref().map_or(0, String::len);
            self.quota.replace(lease.owner, old as u64, progress.len() as u64);
        }
        Ok(())
    }

    /// Forgets the key of `request`, if what it was answered is `answer`.
    ///
    /// # Errors
    /// When the database fails.
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

    /// Gives up the leases of processes that are no more. Only where no other process can hold one.
    ///
    /// # Errors
    /// When the database fails.
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
        Ok(self.operations.execute(&self.statements.insert, &values).await? == 1)
    }

    async fn find(&self, request: &Keyed<'_>) -> Result<Option<Found>, IdempotencyError> {
        let values = [request.owner.0.into(), request.key.as_str().into()];
        let row = self
            .operations
            .fetch_optional(&self.statements.find, &values)
            .await?;
        let Some(row) = row else { return Ok(None) };
        if row.bytes("request_hash")? != request.hash.as_bytes() {
            return Err(IdempotencyError::Reused);
        }
        if let Some(answer) = row.optional_text("response")? {
            return Ok(Some(Found::Answered(answer)));
        }
        Ok(Some(Found::Leased {
            is_over: row.integer("micros_left")? < 0,
            row: Leased {
                task: TaskId(row.uuid("task_id")?),
                before: row.optional_text("tasks_before")?,
                progress: row.optional_text("progress")?,
            },
        }))
    }

    /// Of several who find that a lease is over, one takes it.
    async fn take_over(&self, lease: &Lease) -> Result<bool, IdempotencyError> {
        let values = [
            lease.owner.0.into(),
            lease.key.as_str().into(),
            lease.id.into(),
            micros(LEASE).into(),
        ];
        Ok(self
            .operations
            .execute(&self.statements.take_over, &values)
            .await?
            == 1)
    }
}

enum Found {
    Answered(String),
    Leased { row: Leased, is_over: bool },
}

struct Leased {
    task: TaskId,
    before: Option<String>,
    progress: Option<String>,
}
