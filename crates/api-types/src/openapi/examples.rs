//! Values that the document shows.

use events::{Due, EventId, Priority, Status, TaskId, Timestamp, UserId};
use uuid::Uuid;

use crate::{
    AuditEvent, AuditPage, AuditedOperation, Batch, BatchCommand, BatchOperation, BatchResult, BatchResults,
    ChangeTask, CreateTask, FieldChange, FieldError, HistoryItem, IfMatch, Problem, ProblemCode, RevertTask,
    Task, TaskChanges, TaskEvent, TaskHistory, TaskPage, TaskSummary, TasksByPriority, TasksByStatus,
    UndoRequest,
};

/// 2026-11-22T20:30:50.417526Z
pub(super) const CREATED: Timestamp = Timestamp::from_micros(1_795_379_450_417_526);
/// 2026-12-01T09:00:00Z
const DUE: Due = Due::At(Timestamp::from_micros(1_796_115_600_000_000));
const TASK: TaskId = TaskId(Uuid::from_u128(0x01a204f4_5231_77cc_84db_0e3c4efea8f4));
pub(super) const USER: UserId = UserId(Uuid::from_u128(0x01a204f4_51d1_74f1_ba83_57b2e65ebd4d));
pub(super) const MFA_TOKEN: &str = "AaIE9FHRdPG6g1eyteS9TQGiBPRR";
const REQUEST: &str = "01a204f4-5228-71ff-b156-69d5c038e1d4";
const OPERATION: Uuid = Uuid::from_u128(0x01a204f4_5228_71ff_b156_69d5c038e1d5);

/// A new task.
pub(super) fn task() -> Task {
    Task {
        id: TASK,
        title: "Write the report".to_owned(),
        description: Some("Two pages.".to_owned()),
        status: Status::Open,
        priority: Priority::High,
        due: Some(DUE),
        tags: vec!["work".to_owned(), "q4".to_owned()],
        created_at: CREATED,
        updated_at: CREATED,
        completed_at: None,
        deleted_at: None,
        version: 1,
    }
}

/// The same task after a change.
pub(super) fn task_with(status: Status) -> Task {
    let changed = CREATED.plus_seconds(60);
    Task {
        status,
        updated_at: changed,
        completed_at: (status == Status::Done).then_some(changed),
        version: 2,
        ..task()
    }
}

pub(super) fn page() -> TaskPage {
    TaskPage {
        items: vec![task()],
        next_cursor: None,
        total: Some(1),
    }
}

pub(super) fn summary() -> TaskSummary {
    TaskSummary {
        total: 3,
        by_status: TasksByStatus {
            open: 2,
            done: 1,
            ..TasksByStatus::default()
        },
        by_priority: TasksByPriority {
            normal: 2,
            high: 1,
            ..TasksByPriority::default()
        },
        overdue: 0,
        due_today: 1,
        completed_last_7_days: 1,
    }
}

pub(super) fn changes() -> TaskChanges {
    TaskChanges {
        changed: vec![task()],
        deleted: Vec::new(),
        next: "AAAAAAAAACr__________wAAAAAAAAAq".to_owned(),
        more: false,
    }
}

/// One event of a stream.
pub(super) fn event() -> String {
    let item = history().items.remove(0);
    let kind = item.r#type.clone();
    let data = serde_json::json!(TaskEvent { task: TASK, item });
    format!("id: {}\nevent: {kind}\ndata: {data}\n\n", changes().next)
}

pub(super) fn history() -> TaskHistory {
    let renamed = HistoryItem {
        version: 2,
        position: 42,
        r#type: "task.renamed".to_owned(),
        actor: USER.to_string(),
        recorded_at: CREATED.plus_seconds(60),
        correlation_id: REQUEST.to_owned(),
        changes: vec![FieldChange {
            field: "title".to_owned(),
            from: "Write the report".into(),
            to: "Write the whole report".into(),
        }],
    };
    TaskHistory {
        items: vec![renamed],
        next_cursor: None,
    }
}

pub(super) fn audit_page() -> AuditPage {
    let created = AuditEvent {
        position: 42,
        stream: format!("task-{TASK}"),
        version: 1,
        id: EventId(Uuid::from_u128(0x01a204f4_5231_77cc_84db_0e3c4efea8f5)),
        r#type: "task.created".to_owned(),
        subject: USER,
        actor: USER.to_string(),
        correlation_id: REQUEST.to_owned(),
        causation_id: Uuid::from_u128(0x01a204f4_5231_77cc_84db_0e3c4efea8f6),
        recorded_at: CREATED,
        operation: None,
    };
    let started = AuditEvent {
        position: 43,
        stream: format!("operation-{OPERATION}"),
        id: EventId(Uuid::from_u128(0x01a204f4_5231_77cc_84db_0e3c4efea8f7)),
        r#type: "operation.started".to_owned(),
        subject: UserId::NOBODY,
        actor: "operator".to_owned(),
        correlation_id: OPERATION.to_string(),
        causation_id: OPERATION,
        operation: Some(AuditedOperation {
            command: Some("projection rebuild".to_owned()),
            by: Some("grace".to_owned()),
            reason: Some("Ticket 4711".to_owned()),
            outcome: None,
            result: None,
        }),
        ..created.clone()
    };
    AuditPage {
        items: vec![started, created],
        next_cursor: None,
    }
}

pub(super) fn create_task() -> CreateTask {
    let task = task();
    CreateTask {
        title: task.title,
        description: task.description,
        priority: Some(task.priority),
        due: task.due,
        tags: Some(task.tags),
    }
}

pub(super) fn revert_task() -> RevertTask {
    RevertTask { to_version: 1 }
}

pub(super) fn undo_request() -> UndoRequest {
    UndoRequest {
        request_id: REQUEST.to_owned(),
    }
}

pub(super) fn change_task() -> ChangeTask {
    ChangeTask {
        title: Some("Write the whole report".to_owned()),
        due: Some(None),
        status: Some(Status::InProgress),
        ..ChangeTask::default()
    }
}

pub(super) fn batch() -> Batch {
    let command = |op| BatchCommand::new(op, Some(TASK));
    let create = BatchCommand {
        id: None,
        title: Some("Plan the party".to_owned()),
        ..command(BatchOperation::Create)
    };
    let complete = BatchCommand {
        if_match: Some(IfMatch::Version(1)),
        ..command(BatchOperation::Complete)
    };
    Batch {
        commands: vec![create, complete],
    }
}

pub(super) fn batch_results() -> BatchResults {
    let created = BatchResult {
        status: 201,
        task: Some(task()),
        problem: None,
    };
    let refused = BatchResult {
        status: ProblemCode::VersionMismatch.status(),
        task: None,
        problem: Some(problem(ProblemCode::VersionMismatch)),
    };
    BatchResults {
        results: vec![created, refused],
    }
}

/// A problem of this code.
pub(super) fn problem(code: ProblemCode) -> Problem {
    let errors = match code {
        ProblemCode::ValidationFailed => vec![FieldError {
            pointer: "/title".to_owned(),
            code: "too-long".into(),
            detail: "must have at most 200 characters, has 201".to_owned(),
        }],
        _ => Vec::new(),
    };
    Problem {
        r#type: format!("/problems/{code}"),
        title: code.title().into(),
        status: code.status(),
        detail: None,
        code,
        errors,
        mfa_token: (code == ProblemCode::SecondFactorRequired).then(|| MFA_TOKEN.to_owned()),
        request_id: Some(REQUEST.to_owned()),
    }
}
