//! What people do with their tasks.

use serde_json::json;

use super::{
    endpoint::{Builder, CONDITIONS, TOKEN, endpoint},
    examples::{REQUEST, TASK, batch_results, task, task_with},
};
use crate::{Batch, BatchResults, ChangeTask, CreateTask, ProblemCode::*, RevertTask, Task, UndoRequest};

pub(super) fn endpoints() -> Vec<Builder> {
    vec![
        command("POST /tasks")
            .named("createTask", "Make a task")
            .about(
                "What may be cleared later may be `null` now. A condition is about the list of tasks, which has no \
                 version: of `If-Match` only `*` holds, of `If-None-Match` everything but `*`.",
            )
            .shared(&CONDITIONS)
            .body::<CreateTask>(json!({
                "title": "Write the report",
                "description": "Two pages.",
                "priority": "high",
                "due": "2026-12-01T09:00:00Z",
                "tags": ["work", "q4"],
            }))
            .answer::<Task>(201, "The new task.", &["Location", "ETag", "Consistency-Token"], task()),
        on_task("PATCH /tasks/{id}")
            .named("changeTask", "Change a task")
            .about(
                "JSON Merge Patch (RFC 7396): absent keeps, `null` clears `description`, `due` and `tags`. A change that \
                 changes nothing leaves the version as it is.",
            )
            .patch_body::<ChangeTask>(json!({"title": "Write the whole report", "due": null, "status": "in_progress"}))
            .task("The task after the change.", task_with("in_progress"))
            .problems(&[IllegalTransition]),
        on_task("DELETE /tasks/{id}")
            .named("deleteTask", "Put a task into the trash")
            .about("A task that is there already stays there.")
            .no_fields()
            .nothing(204, "The task is in the trash.", &TOKEN),
        verb("POST /tasks/{id}/start", "in_progress")
            .named("startTask", "Begin a task")
            .about("From `open`. A task that is `in_progress` stays as it is."),
        verb("POST /tasks/{id}/complete", "done")
            .named("completeTask", "Finish a task")
            .about("From `open` or `in_progress`. A task that is `done` stays as it is."),
        verb("POST /tasks/{id}/cancel", "cancelled")
            .named("cancelTask", "Give a task up")
            .about("From `open` or `in_progress`. A task that is `cancelled` stays as it is."),
        verb("POST /tasks/{id}/reopen", "open")
            .named("reopenTask", "Open a task again")
            .about("From `done`, `cancelled` or `in_progress`. A task that is `open` stays as it is."),
        on_task("POST /tasks/{id}/restore")
            .named("restoreTask", "Take a task out of the trash")
            .about("A task that is not in the trash stays as it is.")
            .no_fields()
            .task("The task.", task_with("open")),
        on_task("POST /tasks/{id}/revert")
            .named("revertTask", "Bring a task back to an earlier version")
            .about(
                "The task gets the fields and the status that it had at that version, as new changes: its version goes up. \
                 A task that was in the trash then goes there again. A task that is so already stays as it is.",
            )
            .body::<RevertTask>(json!({"to_version": 1}))
            .task("The task after the change.", task_with("open")),
        command("POST /tasks/batch")
            .named("runBatch", "Carry out up to 100 commands")
            .about(
                "In their order, each on its own: what is wrong with one is told in its place and does not keep the others \
                 back. The body may take 1 MiB. A condition of the whole request is about nothing that there is: `If-Match` \
                 never holds, `If-None-Match` always. Each command has an `if_match` of its own.",
            )
            .shared(&CONDITIONS)
            .body::<Batch>(json!({"commands": [
                {"op": "create", "title": "Plan the party"},
                {"op": "complete", "id": TASK, "if_match": 1},
            ]}))
            .answer::<BatchResults>(200, "What became of each command.", &[], batch_results()),
        command("POST /tasks/undo")
            .named("undoRequest", "Take back what a request did")
            .about(
                "Each task that the request changed gets back what it had before, as new changes, on its own. What was \
                 changed again since is refused in its place (`changed-since`); what is undone already stays as it is. A \
                 condition of the whole request is about nothing that there is: `If-Match` never holds, `If-None-Match` \
                 always.",
            )
            .shared(&CONDITIONS)
            .body::<UndoRequest>(json!({"request_id": REQUEST}))
            .answer::<BatchResults>(200, "What became of each task.", &TOKEN, batch_results())
            .problems(&[NotFound, ProjectionBehind]),
    ]
}

/// A change of the status to this one.
fn verb(route: &'static str, status: &str) -> Builder {
    on_task(route)
        .no_fields()
        .task("The task after the command.", task_with(status))
        .problems(&[IllegalTransition])
}

/// A command on a task that is there already.
fn on_task(route: &'static str) -> Builder {
    command(route).shared(&["id"]).shared(&CONDITIONS).problems(&[NotFound])
}

fn command(route: &'static str) -> Builder {
    endpoint(route, "Tasks").needs_role().idempotent().problems(&[IdempotencyKeyReused, VersionMismatch])
}
