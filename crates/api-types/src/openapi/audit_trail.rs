//! What people ask about what happened.

use utoipa::openapi::{
    HttpMethod, Ref, RefOr, Schema,
    path::{Parameter, ParameterIn},
};

use super::{
    components::{integer, parameter, text},
    endpoint::{Endpoint, endpoint},
    examples,
};
use crate::{AuditPage, ProblemCode::*};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![audit_events()]
}

fn audit_events() -> Endpoint {
    endpoint(HttpMethod::Get, "/audit/events", "Audit", "listAuditEvents", "Read the audit trail")
        .about(
            "What happened, the newest first, without what the events say. People see what is about them; the roles `auditor` \
             and `admin` see everything. Every filter that is given must hold.",
        )
        .needs_role()
        .parameters(filters())
        .shared(&["Consistency-Token", "Prefer"])
        .answer::<AuditPage>(
            200,
            "A page of the audit trail.",
            &["Consistency-Token", "Preference-Applied"],
            &examples::audit_page(),
        )
        .problems(&[BadCursor, Overloaded, ProjectionBehind])
        .build()
}

fn filters() -> Vec<Parameter> {
    let query = |name: &str, description: &str, schema: RefOr<Schema>| {
        parameter(ParameterIn::Query, name, description, schema)
    };
    let name = |most: usize| {
        text()
            .min_length(Some(1))
            .max_length(Some(most))
            .pattern(Some("^[!-~]+$"))
    };
    vec![
        query(
            "actor",
            "Only what this person did, an operator, or the system itself.",
            text()
                .pattern(Some(
                    "^(operator|system|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$",
                ))
                .examples(["operator"])
                .build()
                .into(),
        ),
        query(
            "subject",
            "Only what is about this person.",
            Ref::from_schema_name("Id").into(),
        ),
        query(
            "type",
            "Only events of this type.",
            name(256).examples(["task.created"]).build().into(),
        ),
        query("stream", "Only events of this stream.", name(256).build().into()),
        query(
            "correlation_id",
            "Only what this request caused.",
            name(256).build().into(),
        ),
        query(
            "from",
            "Only what was recorded then or later.",
            Ref::from_schema_name("Due").into(),
        ),
        query(
            "to",
            "Only what was recorded earlier than that.",
            Ref::from_schema_name("Due").into(),
        ),
        query(
            "limit",
            "How many entries a page has at most.",
            integer()
                .minimum(Some(1))
                .maximum(Some(100))
                .default(Some(50.into()))
                .build()
                .into(),
        ),
        query(
            "cursor",
            "`next_cursor` of the page before, with the same filters.",
            text().min_length(Some(1)).build().into(),
        ),
    ]
}
