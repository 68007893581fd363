//! What people ask about their tasks.

use serde_json::json;

use super::{
    endpoint::{Builder, CONDITIONS, endpoint},
    examples::{CHANGED, REQUEST, TASK, USER, task},
    parameter::{Param, cursor, flag, header, limit, list, query},
};
use crate::{ProblemCode::*, Task, TaskChanges, TaskHistory, TaskPage, TaskSummary, stand_ins::line};

/// What every query takes and tells, so that people see what they have done.
pub(super) const STATE: [&str; 2] = ["Consistency-Token", "Prefer"];
pub(super) const SHOWN: [&str; 2] = ["Consistency-Token", "Preference-Applied"];
const TAGGED: [&str; 3] = ["ETag", SHOWN[0], SHOWN[1]];

pub(super) fn endpoints() -> Vec<Builder> {
    let next = "AAAAAAAAACr__________wAAAAAAAAAq";
    let page = json!({"items": [task()], "next_cursor": null, "total": 1});
    let changes = json!({"changed": [task()], "deleted": [], "next": next, "more": false});
    let item = json!({
        "version": 2,
        "position": 42,
        "type": "task.renamed",
        "actor": USER,
        "recorded_at": CHANGED,
        "correlation_id": REQUEST,
        "changes": [{"field": "title", "from": "Write the report", "to": "Write the whole report"}],
    });
    let history = json!({"items": [&item], "next_cursor": null});
    let mut event = item;
    event["task"] = TASK.into();
    let event = format!("id: {next}\nevent: task.renamed\ndata: {event}\n\n");
    vec![
        on_tasks("GET /tasks")
            .named("listTasks", "List tasks")
            .about("The caller's tasks, filtered and sorted, a page at a time. Every filter that is given must hold.")
            .parameters(filters())
            .shared(&CONDITIONS)
            .shared(&STATE)
            .answer::<TaskPage>(200, "A page of tasks.", &["ETag", SHOWN[0], SHOWN[1], "Link"], page)
            .nothing(304, "The page is the one that `If-None-Match` names.", &TAGGED)
            .problems(&[BadCursor, VersionMismatch]),
        on_tasks("GET /tasks/summary")
            .named("summarizeTasks", "Count tasks")
            .about("How many tasks the caller has, of each kind, without those in the trash.")
            .shared(&STATE)
            .without_entity_tag(&SHOWN)
            .answer::<TaskSummary>(200, "The counts.", &SHOWN, json!({
                "total": 3,
                "by_status": {"open": 2, "in_progress": 0, "done": 1, "cancelled": 0},
                "by_priority": {"low": 0, "normal": 2, "high": 1, "urgent": 0},
                "overdue": 0,
                "due_today": 1,
                "completed_last_7_days": 1,
            })),
        on_tasks("GET /tasks/changes")
            .named("listTaskChanges", "List what has changed")
            .about(
                "The tasks that have changed since an earlier answer, in the order in which they have, each as it is now. \
                 Nothing is left out; a task may be told twice. `bad-cursor` for a token that came from here says that the \
                 log was restored since: begin without it.",
            )
            .parameters([
                query("since", "`next` of an earlier answer; everything when it is left out.").min(1),
                limit("How many tasks are told at most.", 100, 100),
            ])
            .shared(&STATE)
            .without_entity_tag(&SHOWN)
            .answer::<TaskChanges>(200, "What has changed.", &SHOWN, changes)
            .problems(&[BadCursor]),
        on_tasks("GET /tasks/events")
            .named("followTasks", "Follow what happens to tasks")
            .about(
                "The events of the caller's tasks, as they are projected, as server-sent events: `event` is the type, `data` \
                 an item of the history with the id of its task in `task`. The stream begins now, or where the stream of \
                 `Last-Event-ID` ended; nothing is left out, an event may come twice. It lasts until the token runs out, the \
                 session ends, or the client reads too slowly.",
            )
            .parameters([header(
                "Last-Event-ID",
                "The `id` of the last event of an earlier stream, or `next` of a list of changes.",
            )])
            .shared(&STATE)
            .without_entity_tag(&SHOWN)
            .text("text/event-stream", "What happens.", &SHOWN, &event)
            .problems(&[BadCursor]),
        on_tasks("GET /tasks/{id}")
            .named("getTask", "Show a task")
            .about(
                "One task as it is now, or as it was after so many changes or at an instant. A task in the trash is not \
                 found as it is now; its past is.",
            )
            .parameters([
                query("version", "The task as it was at this version.").integer().min(1).example(3),
                query("as_of", "The task as it was at this instant. Not together with `version`.").of("Instant"),
            ])
            .shared(&["id"])
            .shared(&CONDITIONS)
            .shared(&STATE)
            .answer::<Task>(200, "The task.", &TAGGED, task())
            .nothing(304, "The task is at a version that `If-None-Match` names.", &TAGGED)
            .problems(&[NotFound, VersionMismatch]),
        on_tasks("GET /tasks/{id}/history")
            .named("getTaskHistory", "Show the history of a task")
            .about("What happened to one task, the oldest first, field by field. The task may be in the trash.")
            .shared(&["id"])
            .parameters([
                limit("How many items a page has at most.", 50, 100),
                cursor("`next_cursor` of the page before."),
            ])
            .shared(&STATE)
            .without_entity_tag(&SHOWN)
            .answer::<TaskHistory>(200, "A page of the history.", &SHOWN, history)
            .problems(&[BadCursor, NotFound]),
    ]
}

/// A query about the caller's own tasks.
fn on_tasks(route: &'static str) -> Builder {
    endpoint(route, "Tasks").needs_role().problems(&[ProjectionBehind])
}

fn filters() -> Vec<Param> {
    let mut filters = vec![
        list("status", "Any of these.", "Status", 4),
        list("priority", "Any of these.", "Priority", 4),
        list("tag", "All of these; a comma within one is sent as `%2C`.", "Tag", 20),
    ];
    for (name, what) in [
        ("due", "is due"),
        ("created", "came to be"),
        ("updated", "last changed"),
        ("completed", "was finished"),
    ] {
        let after = format!("The task {what} then or later.");
        let before = format!("The task {what} earlier than that.");
        filters.push(query(&format!("{name}_after"), &after).of("Due"));
        filters.push(query(&format!("{name}_before"), &before).of("Due"));
    }
    filters.extend([
        flag("overdue", "`true`: due in the past, and neither done nor cancelled."),
        query(
            "q",
            "Words that must all occur in title, description or tags, in any case: up to 16 different ones, not counting \
             those that are parts of others.",
        )
        .min(1)
        .max(256)
        .pattern(&line())
        .example("report"),
        flag("deleted", "`true`: only the trash. Otherwise never."),
        query(
            "sort",
            "In which order; `-` in front for descending. Tasks without the value come last both ways.",
        )
        .one_of(&[
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
        ])
        .default("-created_at"),
        limit("How many tasks a page has at most.", 50, 100),
        cursor("`next_cursor` of the page before, with the same filters and the same order."),
        flag("count", "`true` adds `total` to the answer."),
    ]);
    filters
}
