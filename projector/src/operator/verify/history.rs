//! Compares a page of the log with the history of tasks.

use std::collections::BTreeMap;

use database::{Database, DatabaseError, Row};
use events::UserId;

use super::{
    VerifyError,
    differences::Differences,
    rows::{RowVerifier, row_values},
};
use crate::models::{TASK_HISTORY, TaskVersion};

/// Compares page after page, and remembers what only the end of the log can tell.
#[derive(Debug, Default)]
pub(super) struct HistoryVerifier {
    /// Whose rows are missing, and the first of them: it should be, if they were erased later.
    missing: BTreeMap<UserId, u64>,
}

impl HistoryVerifier {
    /// Compares the rows above `after` and up to `to` with what the events there have `made` of tasks. Returns how many
    /// rows there are.
    pub(super) async fn compare(
        &mut self,
        read_models: &Database,
        after: u64,
        to: u64,
        made: &[TaskVersion],
        differences: &mut Differences,
    ) -> Result<u64, DatabaseError> {
        let rows = read_models
            .fetch_all(
                "SELECT * FROM task_history WHERE position > $1 AND position <= $2",
                &[after.into(), to.into()],
            )
            .await?;
        let count = rows.len() as u64;
        let mut found: BTreeMap<u64, Row> = BTreeMap::new();
        for row in rows {
            found.insert(row.unsigned("position")?, row);
        }
        for version in made {
            let position = version.record.position;
            let Some(row) = found.remove(&position) else {
                let subject = version.record.metadata.subject;
                self.missing.entry(subject).or_insert(position);
                continue;
            };
            let mut expected = Vec::new();
            version.values(&mut expected);
            // One that cannot be read is another, too.
            if row_values(TASK_HISTORY, &row).ok() != Some(expected) {
                differences.add(format!("task_history differs at position {position}"));
            }
        }
        for position in found.into_keys() {
            differences.add(format!(
                "task_history has position {position}, which should not be there"
            ));
        }
        Ok(count)
    }

    /// Tells whose rows are missing although they were not erased.
    pub(super) async fn finish(self, rows: &mut RowVerifier<'_>) -> Result<(), VerifyError> {
        for (subject, position) in self.missing {
            if !rows.was_erased(subject).await? {
                rows.differences.add(format!(
                    "task_history lacks rows of subject {subject}, first position {position}"
                ));
            }
        }
        Ok(())
    }
}
