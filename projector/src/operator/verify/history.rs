//! Compares a page of the log with the history of tasks.

use std::collections::BTreeMap;

use database::{Database, DatabaseError, Row};
use events::{Task, TaskId, TaskPurged, UserId};

use super::{
    VerifyError,
    differences::Differences,
    rows::{RowVerifier, row_values},
};
use crate::models::{RowBuffer, TASK_HISTORY, TaskVersion};

/// Compares page by page, and remembers facts that can be checked only at the end of the log.
#[derive(Debug, Default)]
pub(super) struct HistoryVerifier {
    /// Tasks with missing rows, with the owner and the first position: this is right if the person is erased later,
    /// or the task purged.
    missing: BTreeMap<TaskId, (UserId, u64)>,
}

impl HistoryVerifier {
    /// Compares the rows above `after` and up to `to` with the changes of the events there. Returns the number of
    /// rows.
    pub(super) async fn compare(
        &mut self,
        read_models: &Database,
        after: u64,
        to: u64,
        made: &[TaskVersion],
        differences: &mut Differences,
    ) -> Result<u64, DatabaseError> {
        let columns = TASK_HISTORY.column_list();
        let sql = format!("SELECT {columns} FROM task_history WHERE position > $1 AND position <= $2");
        let rows = read_models.fetch_all(&sql, &[after.into(), to.into()]).await?;
        let count = rows.len() as u64;
        let mut found: BTreeMap<u64, Row> = BTreeMap::new();
        for row in rows {
            found.insert(row.unsigned("position")?, row);
        }
        for version in made {
            let position = version.record.position;
            let Some(row) = found.remove(&position) else {
                let subject = version.record.metadata.subject;
                self.missing.entry(version.task).or_insert((subject, position));
                continue;
            };
            let mut expected = Vec::new();
            version.values(&mut expected);
            // An unreadable row differs, too.
            if row_values(TASK_HISTORY, &row).ok() != Some(expected) {
                differences.add(format!("task_history differs at position {position}"));
            }
        }
        for position in found.into_keys() {
            differences.add(format!("task_history has position {position}, which should not be there"));
        }
        Ok(count)
    }

    /// Reports missing rows of people who were not erased, and rows that are left of purged tasks.
    pub(super) async fn finish(
        self,
        rows: &mut RowVerifier<'_>,
        expected: &RowBuffer<Task>,
    ) -> Result<(), VerifyError> {
        let mut lacking: BTreeMap<UserId, u64> = BTreeMap::new();
        for (task, (subject, position)) in self.missing {
            let slot = expected.0.get(&task.0);
            if slot.is_none_or(|slot| !slot.state.is_purged()) && !is_purged(rows.read_models, task).await? {
                let first = lacking.entry(subject).or_insert(position);
                *first = position.min(*first);
            }
        }
        for (subject, position) in lacking {
            if !rows.was_erased(subject).await? {
                rows.differences
                    .add(format!("task_history lacks rows of subject {subject}, first position {position}"));
            }
        }
        let sql = "SELECT h.position FROM tasks t JOIN task_history h ON h.task = t.id AND h.type <> $2
            WHERE t.owner = $1 AND NOT EXISTS (SELECT 1 FROM unfinished_purges u WHERE u.task = t.id) ORDER BY h.position LIMIT 1";
        let values = [UserId::NOBODY.0.into(), TaskPurged::KIND.into()];
        let left = rows.read_models.fetch_optional(sql, &values).await?;
        if let Some(left) = left {
            rows.differences.add(format!(
                "task_history has position {} of a task that was purged",
                left.unsigned("position")?
            ));
        }
        Ok(())
    }
}

/// Whether the task is purged by now.
async fn is_purged(read_models: &Database, task: TaskId) -> Result<bool, DatabaseError> {
    let sql = "SELECT id FROM tasks WHERE id = $1 AND owner = $2";
    let values = [task.0.into(), UserId::NOBODY.0.into()];
    Ok(read_models.fetch_optional(sql, &values).await?.is_some())
}
