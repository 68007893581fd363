//! Finds the tasks that an earlier request changed. Only the read models can be searched by request; the changes
//! themselves are read from the log.

use std::{sync::Arc, time::Duration};

use database::{Database, DatabaseError, Row};
use event_store::StoreError;
use events::{ConsistencyToken, CorrelationId, StreamKind, StreamName, TaskId, UserId};
use read_models::{CompareError, Projection, Reached};
use tokio::{sync::Semaphore, time::timeout};

/// How long to wait until everything in the log is projected.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most requests of all callers that wait for the projection or read the audit trail at the same time. More are
/// refused at once.
const MAX_AT_ONCE: usize = 64;
/// How long reading the audit trail may take.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The most events that are examined. A request with 100 commands has a few hundred.
const MAX_EVENTS: usize = 2_000;
/// The most tasks that one request can change.
const MAX_TASKS: usize = 100;

#[derive(Clone)]
pub(crate) struct ChangedTasks {
    read_models: Database,
    projection: Arc<Projection>,
    waiting: Arc<Semaphore>,
    /// The audit trail is read by one caller at a time, so that commands keep their connections.
    reading: Arc<Semaphore>,
}

/// A task that a request has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangedTask {
    pub(crate) task: TaskId,
    /// The version of the task after the last change.
    pub(crate) last: u64,
}

/// Why the tasks of a request cannot be found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangedTasksError {
    #[error("the read models are behind")]
    Behind,
    #[error("too many wait for the read models")]
    Crowded,
    #[error("the audit trail could not be read in time")]
    Slow,
    #[error("more tasks than one request can have changed")]
    TooMany,
    #[error(transparent)]
    ReadModels(#[from] DatabaseError),
    /// The log could not be compared with the read models.
    #[error(transparent)]
    Log(StoreError),
}

impl From<CompareError> for ChangedTasksError {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::ReadModels(error) => Self::ReadModels(error),
            CompareError::Log(error) => Self::Log(error),
        }
    }
}

impl ChangedTasks {
    pub(crate) fn new(read_models: Database, projection: Arc<Projection>) -> Self {
        Self {
            read_models,
            projection,
            waiting: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            reading: Arc::new(Semaphore::new(1)),
        }
    }

    /// The tasks that `caller` changed in the request with this id, in the order of their first change. Includes
    /// everything in the log up to `head`.
    pub(crate) async fn of_request(
        &self,
        caller: UserId,
        request: &CorrelationId,
        head: u64,
    ) -> Result<Vec<ChangedTask>, ChangedTasksError> {
        let _permit = self.waiting.try_acquire().map_err(|_| ChangedTasksError::Crowded)?;
        let token = ConsistencyToken::new(caller, head);
        // This is used so rarely that there is no regular comparison.
        self.projection.compare().await?;
        if self.projection.reach(token, TIMEOUT).await? != Reached::There {
            return Err(ChangedTasksError::Behind);
        }
        let rows = self.read(caller, request).await?;
        if rows.len() > MAX_EVENTS {
            return Err(ChangedTasksError::TooMany);
        }
        let mut changed: Vec<ChangedTask> = Vec::new();
        for row in &rows {
            let Ok(StreamKind::Task(task)) = StreamName::raw(row.str("stream")?).kind() else {
                continue;
            };
            let last = row.unsigned("version")?;
            match changed.iter_mut().find(|known| known.task == task) {
                Some(known) => known.last = known.last.max(last),
                None => changed.push(ChangedTask { task, last }),
            }
            if changed.len() > MAX_TASKS {
                return Err(ChangedTasksError::TooMany);
            }
        }
        Ok(changed)
    }

    async fn read(&self, caller: UserId, request: &CorrelationId) -> Result<Vec<Row>, ChangedTasksError> {
        let Ok(Ok(_turn)) = timeout(TIMEOUT, self.reading.acquire()).await else {
            return Err(ChangedTasksError::Crowded);
        };
        let values = [caller.0.into(), String::from(request.clone()).into()];
        let rows = timeout(READ_TIMEOUT, self.read_models.fetch_all(&statement(), &values)).await;
        Ok(rows.map_err(|_| ChangedTasksError::Slow)??)
    }
}

/// One range of the index `audit_log_by_request`, in its order, so that no sort is needed.
fn statement() -> String {
    format!(
        "SELECT stream, version FROM audit_log WHERE subject = $1 AND correlation_id = $2 AND type LIKE 'task.%' \
         ORDER BY recorded_at, position LIMIT {}",
        MAX_EVENTS + 1
    )
}

#[cfg(test)]
mod tests {
    use database::Schema;

    use super::*;

    #[tokio::test]
    async fn what_others_did_in_requests_of_the_same_id_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("read-models.db"));
        let database = Database::open(&url, Schema::ReadModels, 1).await.unwrap();
        let values = [UserId::NOBODY.0.into(), "mistake".into()];
        let explain = format!("EXPLAIN QUERY PLAN {}", statement());
        let rows = database.fetch_all(&explain, &values).await.unwrap();
        let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
        let range = "SEARCH audit_log USING INDEX audit_log_by_request (subject=? AND correlation_id=?)";
        assert_eq!(plan, [range]);
    }
}
