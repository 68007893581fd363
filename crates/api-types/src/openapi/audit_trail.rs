//! What people ask about what happened.

use serde_json::{Value, json};

use super::{
    endpoint::{Builder, endpoint},
    examples::{CREATED, REASON, REQUEST, TASK, USER},
    parameter::{Param, cursor, limit, query},
    queries::{SHOWN, STATE},
};
use crate::{AuditPage, ProblemCode::*};

pub(super) fn endpoints() -> Vec<Builder> {
    vec![
        endpoint("GET /audit/events", "Audit")
            .named("listAuditEvents", "Read the audit trail")
            .about(
                "What happened, the newest first, without what the events say. People see what is about them; the roles \
                 `auditor` and `admin` see everything. Every filter that is given must hold.",
            )
            .needs_role()
            .parameters(filters())
            .shared(&STATE)
            .without_entity_tag(&SHOWN)
            .answer::<AuditPage>(200, "A page of the audit trail.", &SHOWN, page())
            .problems(&[BadCursor, ProjectionBehind]),
    ]
}

fn filters() -> [Param; 9] {
    const PERSON: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let name = |name, about| query(name, about).min(1).max(256).pattern("^[!-~]+$");
    [
        query(
            "actor",
            "Only what this person did, also by their programs; what one program did (`<person>/token/<token>`); what \
             an operator did, or the system itself.",
        )
        .pattern(&format!("^(operator|system|{PERSON}(/token/{PERSON})?)$"))
        .example("operator"),
        query("subject", "Only what is about this person.").of("Id"),
        name("type", "Only events of this type.").example("task.created"),
        name("stream", "Only events of this stream."),
        name("correlation_id", "Only what this request caused."),
        query("from", "Only what was recorded then or later.").of("Due"),
        query("to", "Only what was recorded earlier than that.").of("Due"),
        limit("How many entries a page has at most.", 50, 100),
        cursor("`next_cursor` of the page before, with the same filters."),
    ]
}

/// The beginning of an operator's command, and the creation of a task before it.
fn page() -> Value {
    const OPERATION: &str = "01a204f4-5228-71ff-b156-69d5c038e1d5";
    let started = json!({
        "position": 43,
        "stream": format!("operation-{OPERATION}"),
        "version": 1,
        "id": "01a204f4-5231-77cc-84db-0e3c4efea8f7",
        "type": "operation.started",
        "subject": "00000000-0000-0000-0000-000000000000",
        "actor": "operator",
        "correlation_id": OPERATION,
        "causation_id": OPERATION,
        "recorded_at": CREATED,
        "operation": {"command": "projection rebuild", "by": "grace", "reason": REASON},
    });
    let created = json!({
        "position": 42,
        "stream": format!("task-{TASK}"),
        "version": 1,
        "id": "01a204f4-5231-77cc-84db-0e3c4efea8f5",
        "type": "task.created",
        "subject": USER,
        "actor": USER,
        "correlation_id": REQUEST,
        "causation_id": "01a204f4-5231-77cc-84db-0e3c4efea8f6",
        "recorded_at": CREATED,
    });
    json!({"items": [started, created], "next_cursor": null})
}
