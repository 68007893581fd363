//! Deletes the remaining rows of erased people and purged tasks, a limited number in each transaction, so that others
//! need not wait long. `unfinished_deletions.rs` deletes the rest.

use database::{DatabaseError, Transaction, Value};
use events::{ERASED, OperationFinished, OperationStarted, TaskId, UserId};

use crate::models::{Model as _, PARKED_EVENTS, TASK_HISTORY, for_each_model};

/// The most rows that one transaction deletes or changes. It ends long before its deadline, also on a slow disk.
const MAX_ROWS: u64 = 5_000;

/// The tables with rows of a person that are not folded from one stream each, and the condition for these rows. The
/// reason of a parked or discarded event may quote personal data. Since nothing about an erased person is projected any
/// more, their discarded events need not be kept.
const TABLES_BY_POSITION: [(&str, &str); 3] = [
    (TASK_HISTORY.name, "owner = $1"),
    (PARKED_EVENTS.name, "subject = $1"),
    ("discarded_events", "subject = $1"),
];

/// The number of rows that a transaction may still delete or change.
#[derive(Debug)]
pub(crate) struct RowBudget(u64);

impl RowBudget {
    pub(crate) const fn new() -> Self {
        Self(MAX_ROWS)
    }

    const fn spend(&mut self, rows: u64) {
        self.0 = self.0.saturating_sub(rows);
    }

    const fn is_left(&self) -> bool {
        self.0 > 0
    }
}

/// The deletion of the rows of an erased person.
#[derive(Debug)]
pub(crate) struct Erasure {
    subject: UserId,
    /// The part of their audit trail before this time is done.
    recorded_from: i64,
}

impl Erasure {
    pub(crate) const fn of(subject: UserId) -> Self {
        Self { subject, recorded_from: i64::MIN }
    }

    /// Deletes as many rows of the person as `budget` allows. Returns `true` when none are left.
    pub(crate) async fn delete_some(
        &mut self,
        tx: &mut Transaction,
        budget: &mut RowBudget,
    ) -> Result<bool, DatabaseError> {
        let mut tables = Vec::new();
        for_each_model!(M => tables.extend(M::ERASURE.iter().map(|rows| (M::TABLE.name, "id", *rows))));
        tables.extend(TABLES_BY_POSITION.map(|(table, rows)| (table, "position", rows)));
        for (table, key, rows) in tables {
            if !delete(tx, (table, key), rows, &[self.subject.0.into()], budget).await? {
                return Ok(false);
            }
        }
        self.delete_from_audit_log(tx, budget).await
    }

    /// Removes request ids, which clients of the person may have chosen, and the reasons of admins from the audit
    /// trail. The rows stay, with what operators did.
    async fn delete_from_audit_log(
        &mut self,
        tx: &mut Transaction,
        budget: &mut RowBudget,
    ) -> Result<bool, DatabaseError> {
        let some = "SELECT position FROM audit_log WHERE subject = $1 AND recorded_at >= $5
                 AND (correlation_id <> $2 OR operation IS NOT NULL AND type NOT IN ($3, $4))
             ORDER BY recorded_at, position LIMIT $6";
        let sql = format!(
            "UPDATE audit_log SET correlation_id = $2, operation = CASE WHEN type IN ($3, $4) THEN operation END
             WHERE {} RETURNING recorded_at",
            is_among(tx, "position", some)
        );
        let values = [
            self.subject.0.into(),
            ERASED.into(),
            OperationStarted::KIND.into(),
            OperationFinished::KIND.into(),
            self.recorded_from.into(),
            budget.0.into(),
        ];
        let rows = tx.fetch_all(&sql, &values).await?;
        for row in &rows {
            self.recorded_from = self.recorded_from.max(row.integer("recorded_at")?);
        }
        budget.spend(rows.len() as u64);
        Ok(budget.is_left())
    }
}

/// Deletes as many rows of the history of `task` as `budget` allows. The task was purged at `position` in the log.
/// Returns `true` when none are left.
pub(crate) async fn purge(
    tx: &mut Transaction,
    task: TaskId,
    position: u64,
    budget: &mut RowBudget,
) -> Result<bool, DatabaseError> {
    let table = (TASK_HISTORY.name, "position");
    let values = [task.0.into(), position.into()];
    delete(tx, table, "task = $1 AND position < $2", &values, budget).await
}

/// Deletes as many rows as `budget` allows from a table with this key, where the condition `rows` is true. Returns
/// `true` when none are left.
async fn delete(
    tx: &mut Transaction,
    (table, key): (&str, &str),
    rows: &str,
    values: &[Value],
    budget: &mut RowBudget,
) -> Result<bool, DatabaseError> {
    if budget.is_left() {
        let some = format!("SELECT {key} FROM {table} WHERE {rows} LIMIT ${}", values.len() + 1);
        let sql = format!("DELETE FROM {table} WHERE {}", is_among(tx, key, &some));
        let values = [values, &[budget.0.into()]].concat();
        budget.spend(tx.execute(&sql, &values).await?);
    }
    Ok(budget.is_left())
}

/// The condition that `key` is in the result of `query`.
fn is_among(tx: &Transaction, key: &str, query: &str) -> String {
    if tx.is_postgres() {
        // With an array the index is used, whatever number of rows the planner expects.
        format!("{key} = ANY (ARRAY({query}))")
    } else {
        format!("{key} IN ({query})")
    }
}
