//! Counts tasks of each kind.

use api_types::{TaskSummary, TasksByPriority, TasksByStatus};
use database::{Database, DatabaseError, Dialect, Value};
use events::{Priority, Status, Timestamp, UserId};

const SECONDS_OF_DAY: i64 = 86_400;

/// The statement and its values. It reads one index from the first task of the owner to the last, and no rows of the
/// table.
pub(super) fn statement(dialect: Dialect, owner: UserId, now: Timestamp) -> (String, Vec<Value>) {
    let today =
        Timestamp::from_micros(now.as_seconds().div_euclid(SECONDS_OF_DAY) * SECONDS_OF_DAY * 1_000_000);
    let sql = format!(
        "SELECT status, priority, COUNT(*) AS tasks,
             SUM(CASE WHEN overdue_at <= $2 AND status NOT IN ('done', 'cancelled') THEN 1 ELSE 0 END) AS overdue,
             SUM(CASE WHEN due_at >= $3 AND due_at < $4 AND status NOT IN ('done', 'cancelled') THEN 1 ELSE 0 END)
                 AS due_today,
             SUM(CASE WHEN completed_at >= $5 THEN 1 ELSE 0 END) AS completed
         FROM tasks{} WHERE owner = $1 AND deleted_at IS NULL GROUP BY status, priority",
        index(dialect)
    );
    let values = vec![
        owner.0.into(),
        now.as_micros().into(),
        today.as_micros().into(),
        today.plus_seconds(SECONDS_OF_DAY).as_micros().into(),
        now.plus_seconds(-7 * SECONDS_OF_DAY).as_micros().into(),
    ];
    (sql, values)
}

/// The index hint after the table name. SQLite needs it, because it ignores the length of rows.
const fn index(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "",
        Dialect::Sqlite => " INDEXED BY tasks_by_position",
    }
}

/// Counts the tasks of `owner` that are not in the trash. Today is the day of `now` in UTC.
pub(crate) async fn summary(
    database: &Database,
    owner: UserId,
    now: Timestamp,
) -> Result<TaskSummary, DatabaseError> {
    let (sql, values) = statement(Dialect::of(database), owner, now);
    let mut summary = TaskSummary::default();
    for row in database.fetch_all(&sql, &values).await? {
        let tasks = row.unsigned("tasks")?;
        summary.total += tasks;
        // A status of a newer release counts only in the total.
        if let Some(status) = Status::named(row.str("status")?) {
            *of_status(&mut summary.by_status, status) += tasks;
        }
        if let Some(priority) = Priority::ranked(row.integer("priority")?) {
            *of_priority(&mut summary.by_priority, priority) += tasks;
        }
        summary.overdue += row.unsigned("overdue")?;
        summary.due_today += row.unsigned("due_today")?;
        summary.completed_last_7_days += row.unsigned("completed")?;
    }
    Ok(summary)
}

const fn of_status(counts: &mut TasksByStatus, status: Status) -> &mut u64 {
    match status {
        Status::Open => &mut counts.open,
        Status::InProgress => &mut counts.in_progress,
        Status::Done => &mut counts.done,
        Status::Cancelled => &mut counts.cancelled,
    }
}

const fn of_priority(counts: &mut TasksByPriority, priority: Priority) -> &mut u64 {
    match priority {
        Priority::Low => &mut counts.low,
        Priority::Normal => &mut counts.normal,
        Priority::High => &mut counts.high,
        Priority::Urgent => &mut counts.urgent,
    }
}
