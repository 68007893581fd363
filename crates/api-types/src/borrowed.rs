//! Tasks and their history as the query API sends them: most members lie in a row of the read models just as they are
//! to be sent, and are not copied. Each type writes the same members as the one that it is named after.

use events::{Priority, Status, TaskId, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

/// A [`Task`](crate::Task) that lies in a row.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the fields are those of a task")]
pub struct BorrowedTask<'r> {
    pub id: TaskId,
    pub title: &'r str,
    pub description: Option<&'r str>,
    pub status: Status,
    pub priority: Priority,
    /// In the form of [`Due`](events::Due).
    pub due: Option<&'r str>,
    /// An array of strings.
    pub tags: &'r RawValue,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub version: u64,
}

/// A [`HistoryItem`](crate::HistoryItem) that lies in a row.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the fields are those of an item of a history")]
pub struct BorrowedHistoryItem<'r> {
    pub version: u64,
    pub position: u64,
    pub r#type: &'r str,
    pub actor: &'r str,
    pub recorded_at: Timestamp,
    pub correlation_id: &'r str,
    /// An array of [`FieldChange`](crate::FieldChange).
    pub changes: &'r RawValue,
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;
    use crate::{HistoryItem, Task};

    fn task() -> Task {
        let task = json!({
            "id": "01a204f4-5231-77cc-84db-0e3c4efea8f4",
            "title": "Write the report",
            "description": "Two pages.",
            "status": "done",
            "priority": "high",
            "due": "2026-12-01T09:00:00Z",
            "tags": ["work", "q4"],
            "created_at": "2026-11-22T20:30:50.417526Z",
            "updated_at": "2026-11-22T20:32:50.417526Z",
            "completed_at": "2026-11-22T20:31:50.417526Z",
            "deleted_at": "2026-11-22T20:32:50.417526Z",
            "version": 3,
        });
        serde_json::from_value(task).unwrap()
    }

    #[test]
    fn a_borrowed_task_is_written_as_a_task() {
        let bare = Task {
            description: None,
            due: None,
            tags: Vec::new(),
            completed_at: None,
            deleted_at: None,
            ..task()
        };
        for task in [task(), bare] {
            let due = task.due.map(|due| due.to_string());
            let borrowed = BorrowedTask {
                id: task.id,
                title: &task.title,
                description: task.description.as_deref(),
                status: task.status,
                priority: task.priority,
                due: due.as_deref(),
                tags: &to_raw_value(&task.tags).unwrap(),
                created_at: task.created_at,
                updated_at: task.updated_at,
                completed_at: task.completed_at,
                deleted_at: task.deleted_at,
                version: task.version,
            };
            let written = serde_json::to_string(&borrowed).unwrap();
            assert_eq!(written, serde_json::to_string(&task).unwrap());
        }
    }

    #[test]
    fn a_borrowed_item_is_written_as_an_item_of_a_history() {
        let item = json!({
            "version": 2,
            "position": 42,
            "type": "task.renamed",
            "actor": "01a204f4-51d1-74f1-ba83-57b2e65ebd4d",
            "recorded_at": "2026-11-22T20:31:50.417526Z",
            "correlation_id": "01a204f4-5228-71ff-b156-69d5c038e1d4",
            "changes": [{"field": "title", "from": "Write the report", "to": "Write the whole report"}],
        });
        let item: HistoryItem = serde_json::from_value(item).unwrap();
        let borrowed = BorrowedHistoryItem {
            version: item.version,
            position: item.position,
            r#type: &item.r#type,
            actor: &item.actor,
            recorded_at: item.recorded_at,
            correlation_id: &item.correlation_id,
            changes: &to_raw_value(&item.changes).unwrap(),
        };
        let written = serde_json::to_string(&borrowed).unwrap();
        assert_eq!(written, serde_json::to_string(&item).unwrap());
    }
}
