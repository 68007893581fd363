//! The history of tasks and the audit trail as rows, as the projector writes them.

use database::Database;
use events::Task;
use read_models::TaskChange;
use uuid::Uuid;

use super::TestLog;

/// Writes the history of a task with these states, the oldest first, with events at the positions from
/// `first_position` on.
pub(crate) async fn insert_history(database: &Database, states: &[Task], first_position: u64) {
    let mut before = None;
    for (state, position) in states.iter().zip(first_position..) {
        let whole = TaskChange::holds_state(before, state).then(|| serde_json::to_string(state).unwrap());
        let changes = serde_json::to_string(&TaskChange::between(before, state)).unwrap();
        database
            .execute(
                "INSERT INTO task_history (position, task, owner, version, event_id, type, actor, correlation_id, recorded_at, \
                 changes, state) VALUES ($1, $2, $3, $4, $9, 'task.renamed', $5, 'request', $6, $7, $8)",
                &[
                    position.into(),
                    state.id.0.into(),
                    state.owner.0.into(),
                    state.version.into(),
                    state.owner.to_string().into(),
                    state.updated_at.as_micros().into(),
                    changes.into(),
                    whole.into(),
                    TestLog::id(position).0.into(),
                ],
            )
            .await
            .unwrap();
        before = Some(state);
    }
}

/// Writes the audit entry for the event of a [`TestLog`] at `position`.
pub(crate) async fn audit(database: &Database, task: &Task, position: u64) {
    database
        .execute(
            "INSERT INTO audit_log (position, stream, version, event_id, type, subject, actor, correlation_id, \
             causation_id, recorded_at) VALUES ($1, $2, $3, $4, 'task.renamed', $5, 'system', 'request', $6, 1)",
            &[
                position.into(),
                format!("task-{}", task.id).into(),
                task.version.into(),
                TestLog::id(position).0.into(),
                task.owner.0.into(),
                Uuid::nil().into(),
            ],
        )
        .await
        .unwrap();
}
