//! Deletes what people who were erased and tasks that were purged leave in the tables, and never more rows in one transaction
//! than others can wait for. Does not know who goes on with the rest: see `unfinished_deletions.rs`.

use database::{DatabaseError, Transaction, Value};
use events::{ERASED, OperationFinished, OperationStarted, TaskId, UserId};

use crate::models::{Model as _, PARKED_EVENTS, TASK_HISTORY, for_each_model};

/// Rows that one transaction deletes or changes. It ends long before its deadline, also on a slow disk.
const ROWS: u64 = 5_000;

/// What a person leaves in tables that are not folded from one stream each. The reason of a parked or discarded event may
/// quote it. Nothing about the person is projected any more, so nothing has to be passed over.
const TABLES_BY_POSITION: [(&str, &str); 3] = [
    (TASK_HISTORY.name, "owner = $1"),
    (PARKED_EVENTS.name, "subject = $1"),
    ("discarded_events", "subject = $1"),
];

/// How many rows a transaction may still delete or change.
#[derive(Debug)]
pub(crate) struct RowBudget(u64);

impl RowBudget {
    pub(crate) const fn new() -> Self {
        Self(ROWS)
    }

    const fn spend(&mut self, rows: u64) {
        self.0 = self.0.saturating_sub(rows);
    }

    const fn is_left(&self) -> bool {
        self.0 > 0
    }
}

/// A person who was erased, on their way out of the tables.
#[derive(Debug)]
pub(crate) struct Erasure {
    subject: UserId,
    /// Everything in their audit trail that was recorded before is done.
    recorded_from: i64,
}

impl Erasure {
    pub(crate) const fn of(subject: UserId) -> Self {
        Self {
            subject,
            recorded_from: i64::MIN,
        }
    }

    /// Deletes as much of what the person leaves as `budget` allows. Returns whether that was all.
    pub(crate) async fn go_on(
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
        self.go_on_with_audit_log(tx, budget).await
    }

    /// The rows stay. The clients of the person may have chosen the request ids, so those go. What operators did stays, and why
    /// admins did what they did goes.
    async fn go_on_with_audit_log(
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

/// Deletes as much of the history of `task`, which was purged at `position` in the log, as `budget` allows. Returns whether that
/// was all.
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

/// Deletes as many as `budget` allows of those `rows` of a table with this key. Returns whether that were all.
async fn delete(
    tx: &mut Transaction,
    (table, key): (&str, &str),
    rows: &str,
    values: &[Value],
    budget: &mut RowBudget,
) -> Result<bool, DatabaseError> {
    if budget.is_left() {
        let some = format!(
            "SELECT {key} FROM {table} WHERE {rows} LIMIT ${}",
            values.len() + 1
        );
        let sql = format!("DELETE FROM {table} WHERE {}", is_among(tx, key, &some));
        let values = [values, &[budget.0.into()]].concat();
        budget.spend(tx.execute(&sql, &values).await?);
    }
    Ok(budget.is_left())
}

/// The condition that `key` is one of those that `query` finds.
fn is_among(tx: &Transaction, key: &str, query: &str) -> String {
    if tx.is_postgres() {
        // An array, so that the index is used whatever the planner believes of the number of rows.
        format!("{key} = ANY (ARRAY({query}))")
    } else {
        format!("{key} IN ({query})")
    }
}
