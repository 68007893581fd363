//! What people ask about their tasks.

use utoipa::openapi::{
    Array, ArrayBuilder, ContentBuilder, HttpMethod, Ref, RefOr, Schema,
    path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
};

use super::{
    components::{integer, parameter, text},
    endpoint::{Endpoint, endpoint},
    examples,
};
use crate::{ProblemCode::*, TaskChanges, TaskHistory, TaskPage, TaskSummary, stand_ins::line};

const TAG: &str = "Tasks";
/// What every query takes and tells, so that people see what they have done.
pub(super) const STATE: [&str; 2] = ["Consistency-Token", "Prefer"];
pub(super) const SHOWN: [&str; 2] = ["Consistency-Token", "Preference-Applied"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        list_tasks(),
        task_summary(),
        task_changes(),
        task_events(),
        get_task(),
        task_history(),
    ]
}

fn list_tasks() -> Endpoint {
    endpoint(HttpMethod::Get, "/tasks", TAG, "listTasks", "List tasks")
        .about("The caller's tasks, filtered and sorted, a page at a time. Every filter that is given must hold.")
        .needs_role()
        .parameters(filters())
        .shared(&["If-Match", "If-None-Match"])
        .shared(&STATE)
        .answer::<TaskPage>(
            200,
            "A page of tasks.",
            &["ETag", "Consistency-Token", "Preference-Applied", "Link"],
            &examples::page(),
        )
        .nothing(
            304,
            "The page is the one that `If-None-Match` names.",
            &["ETag", SHOWN[0], SHOWN[1]],
        )
        .problems(&[
            BadCursor,
            VersionMismatch,
            Overloaded,
            ProjectionBehind,
        ])
        .build()
}

fn get_task() -> Endpoint {
    endpoint(HttpMethod::Get, "/tasks/{id}", TAG, "getTask", "Show a task")
        .about(
            "One task as it is now, or as it was after so many changes or at an instant. A task in the trash is not found \
             as it is now; its past is.",
        )
        .needs_role()
        .parameters(moments())
        .shared(&["id", "If-Match", "If-None-Match"])
        .shared(&STATE)
        .answer(
            200,
            "The task.",
            &["ETag", "Consistency-Token", "Preference-Applied"],
            &examples::task(),
        )
        .nothing(
            304,
            "The task is at a version that `If-None-Match` names.",
            &["ETag", SHOWN[0], SHOWN[1]],
        )
        .problems(&[
            NotFound,
            VersionMismatch,
            Overloaded,
            ProjectionBehind,
        ])
        .build()
}

fn task_summary() -> Endpoint {
    endpoint(
        HttpMethod::Get,
        "/tasks/summary",
        TAG,
        "summarizeTasks",
        "Count tasks",
    )
    .about("How many tasks the caller has, of each kind, without those in the trash.")
    .needs_role()
    .shared(&STATE)
    .answer::<TaskSummary>(200, "The counts.", &SHOWN, &examples::summary())
    .problems(&[Overloaded, ProjectionBehind])
    .build()
}

fn task_changes() -> Endpoint {
    endpoint(HttpMethod::Get, "/tasks/changes", TAG, "listTaskChanges", "List what has changed")
        .about(
            "The tasks that have changed since an earlier answer, in the order in which they have, each as it is now. \
             Nothing is left out; a task may be told twice. `bad-cursor` for a token that came from here says that the log \
             was restored since: begin without it.",
        )
        .needs_role()
        .parameters(vec![
            query(
                "since",
                "`next` of an earlier answer; everything when it is left out.",
                text().min_length(Some(1)).build().into(),
            ),
            limit("How many tasks are told at most.", 100),
        ])
        .shared(&STATE)
        .answer::<TaskChanges>(200, "What has changed.", &SHOWN, &examples::changes())
        .problems(&[BadCursor, Overloaded, ProjectionBehind])
        .build()
}

fn task_events() -> Endpoint {
    let content = ContentBuilder::new()
        .schema(Some(text().build()))
        .example(Some(examples::event().into()))
        .build();
    endpoint(HttpMethod::Get, "/tasks/events", TAG, "followTasks", "Follow what happens to tasks")
        .about(
            "The events of the caller's tasks, as they are projected, as server-sent events: `event` is the type, `data` an \
             item of the history with the id of its task in `task`. The stream begins now, or where the stream of \
             `Last-Event-ID` ended; nothing is left out, an event may come twice. It lasts until the token runs out, the \
             session ends, or the client reads too slowly.",
        )
        .needs_role()
        .parameters(vec![parameter(
            ParameterIn::Header,
            "Last-Event-ID",
            "The `id` of the last event of an earlier stream, or `next` of a list of changes.",
            text().build().into(),
        )])
        .shared(&STATE)
        .answer_of(200, "What happens.", &SHOWN, Some(("text/event-stream", content)))
        .problems(&[BadCursor, RateLimited, Overloaded, ProjectionBehind])
        .build()
}

fn task_history() -> Endpoint {
    endpoint(
        HttpMethod::Get,
        "/tasks/{id}/history",
        TAG,
        "getTaskHistory",
        "Show the history of a task",
    )
    .about("What happened to one task, the oldest first, field by field. The task may be in the trash.")
    .needs_role()
    .shared(&["id"])
    .parameters(vec![
        limit("How many items a page has at most.", 50),
        query(
            "cursor",
            "`next_cursor` of the page before.",
            text().min_length(Some(1)).build().into(),
        ),
    ])
    .shared(&STATE)
    .answer::<TaskHistory>(200, "A page of the history.", &SHOWN, &examples::history())
    .problems(&[BadCursor, NotFound, Overloaded, ProjectionBehind])
    .build()
}

fn query(name: &str, description: &str, schema: RefOr<Schema>) -> Parameter {
    parameter(ParameterIn::Query, name, description, schema)
}

fn limit(description: &str, default: u64) -> Parameter {
    let limit = integer()
        .minimum(Some(1))
        .maximum(Some(100))
        .default(Some(default.into()));
    query("limit", description, limit.build().into())
}

fn moments() -> Vec<Parameter> {
    vec![
        query(
            "version",
            "The task as it was at this version.",
            integer().minimum(Some(1)).examples([3]).build().into(),
        ),
        query(
            "as_of",
            "The task as it was at this instant. Not together with `version`.",
            Ref::from_schema_name("Instant").into(),
        ),
    ]
}

fn filters() -> Vec<Parameter> {
    let flag = |name: &str, description: &str| {
        query(
            name,
            description,
            text().enum_values(Some(["true", "false"])).build().into(),
        )
    };
    let mut filters = vec![
        list(
            "status",
            "Any of these.",
            Ref::from_schema_name("Status").into(),
            4,
        ),
        list(
            "priority",
            "Any of these.",
            Ref::from_schema_name("Priority").into(),
            4,
        ),
        list(
            "tag",
            "All of these; a comma within one is sent as `%2C`.",
            Ref::from_schema_name("Tag").into(),
            20,
        ),
    ];
    for (name, what) in [
        ("due", "is due"),
        ("created", "came to be"),
        ("updated", "last changed"),
        ("completed", "was finished"),
    ] {
        filters.push(query(
            &format!("{name}_after"),
            &format!("The task {what} then or later."),
            Ref::from_schema_name("Due").into(),
        ));
        filters.push(query(
            &format!("{name}_before"),
            &format!("The task {what} earlier than that."),
            Ref::from_schema_name("Due").into(),
        ));
    }
    filters.extend([
        flag(
            "overdue",
            "`true`: due in the past, and neither done nor cancelled.",
        ),
        query(
            "q",
            "Words that must all occur in title, description or tags, in any case: up to 16 different ones, not counting \
             those that are parts of others.",
            text()
                .min_length(Some(1))
                .max_length(Some(256))
                .pattern(Some(line()))
                .examples(["report"])
                .build()
                .into(),
        ),
        flag("deleted", "`true`: only the trash. Otherwise never."),
        query(
            "sort",
            "In which order; `-` in front for descending. Tasks without the value come last both ways.",
            text()
                .enum_values(Some([
                    "created_at",
                    "-created_at",
                    "updated_at",
                    "-updated_at",
                    "due",
                    "-due",
                    "priority",
                    "-priority",
                    "title",
                    "-title",
                ]))
                .default(Some("-created_at".into()))
                .build()
                .into(),
        ),
        limit("How many tasks a page has at most.", 50),
        query(
            "cursor",
            "`next_cursor` of the page before, with the same filters and the same order.",
            text().min_length(Some(1)).build().into(),
        ),
        flag("count", "`true` adds `total` to the answer."),
    ]);
    filters
}

/// One or more values, between commas or in several parameters of the same name.
fn list(name: &str, description: &str, item: RefOr<Schema>, most: usize) -> Parameter {
    let array: Array = ArrayBuilder::new()
        .items(item)
        .min_items(Some(1))
        .max_items(Some(most))
        .build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(format!("{description} Comma-separated, or repeated.")))
        .schema(Some(array))
        .style(Some(ParameterStyle::Form))
        .explode(Some(false))
        .required(utoipa::openapi::Required::False)
        .build()
}
