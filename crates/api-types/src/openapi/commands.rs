//! What people do with their tasks.

use events::Status;
use utoipa::openapi::HttpMethod;

use super::{
    endpoint::{Builder, Endpoint, endpoint},
    examples,
};
use crate::{NoFields, ProblemCode::*};

const TAG: &str = "Tasks";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        create_task(),
        change_task(),
        delete_task(),
        verb(
            "/tasks/{id}/start",
            "startTask",
            "Begin a task",
            "From `open`. A task that is `in_progress` stays as it is.",
            Status::InProgress,
        ),
        verb(
            "/tasks/{id}/complete",
            "completeTask",
            "Finish a task",
            "From `open` or `in_progress`. A task that is `done` stays as it is.",
            Status::Done,
        ),
        verb(
            "/tasks/{id}/cancel",
            "cancelTask",
            "Give a task up",
            "From `open` or `in_progress`. A task that is `cancelled` stays as it is.",
            Status::Cancelled,
        ),
        verb(
            "/tasks/{id}/reopen",
            "reopenTask",
            "Open a task again",
            "From `done`, `cancelled` or `in_progress`. A task that is `open` stays as it is.",
            Status::Open,
        ),
        restore_task(),
        revert_task(),
        run_batch(),
        undo_request(),
    ]
}

fn create_task() -> Endpoint {
    command(HttpMethod::Post, "/tasks", "createTask", "Make a task")
        .about(
            "What may be cleared later may be `null` now. A condition is about the list of tasks, which has no version: of \
             `If-Match` only `*` holds, of `If-None-Match` everything but `*`.",
        )
        .shared(&["If-Match", "If-None-Match"])
        .body(&examples::create_task())
        .answer(
            201,
            "The new task.",
            &["Location", "ETag", "Consistency-Token"],
            &examples::task(),
        )
        .problems(&[TaskExists, VersionMismatch])
        .build()
}

fn change_task() -> Endpoint {
    on_task(HttpMethod::Patch, "/tasks/{id}", "changeTask", "Change a task")
        .about(
            "JSON Merge Patch (RFC 7396): absent keeps, `null` clears `description`, `due` and `tags`. A change that \
             changes nothing leaves the version as it is.",
        )
        .patch_body(&examples::change_task())
        .answer(
            200,
            "The task after the change.",
            &["ETag", "Consistency-Token"],
            &examples::task_with(Status::InProgress),
        )
        .problems(&[IllegalTransition])
        .build()
}

fn delete_task() -> Endpoint {
    on_task(
        HttpMethod::Delete,
        "/tasks/{id}",
        "deleteTask",
        "Put a task into the trash",
    )
    .about("A task that is there already stays there.")
    .empty_body(&NoFields {})
    .nothing(204, "The task is in the trash.", &["Consistency-Token"])
    .build()
}

fn revert_task() -> Endpoint {
    on_task(
        HttpMethod::Post,
        "/tasks/{id}/revert",
        "revertTask",
        "Bring a task back to an earlier version",
    )
    .about(
        "The task gets the fields and the status that it had at that version, as new changes: its version goes up. A task that \
         was in the trash then goes there again. A task that is so already stays as it is.",
    )
    .body(&examples::revert_task())
    .answer(
        200,
        "The task after the change.",
        &["ETag", "Consistency-Token"],
        &examples::task_with(Status::Open),
    )
    .build()
}

fn restore_task() -> Endpoint {
    on_task(
        HttpMethod::Post,
        "/tasks/{id}/restore",
        "restoreTask",
        "Take a task out of the trash",
    )
    .about("A task that is not in the trash stays as it is.")
    .empty_body(&NoFields {})
    .answer(
        200,
        "The task.",
        &["ETag", "Consistency-Token"],
        &examples::task_with(Status::Open),
    )
    .build()
}

fn run_batch() -> Endpoint {
    command(HttpMethod::Post, "/tasks/batch", "runBatch", "Carry out up to 100 commands")
        .about(
            "In their order, each on its own: what is wrong with one is told in its place and does not keep the others \
             back. The body may take 1 MiB. A condition of the whole request is about nothing that there is: `If-Match` never \
             holds, `If-None-Match` always. Each command has an `if_match` of its own.",
        )
        .shared(&["If-Match", "If-None-Match"])
        .problems(&[VersionMismatch])
        .body(&examples::batch())
        .answer(200, "What became of each command.", &[], &examples::batch_results())
        .build()
}

fn undo_request() -> Endpoint {
    command(
        HttpMethod::Post,
        "/tasks/undo",
        "undoRequest",
        "Take back what a request did",
    )
    .about(
        "Each task that the request changed gets back what it had before, as new changes, on its own. What was changed again since \
         is refused in its place (`changed-since`); what is undone already stays as it is. A condition of the whole request is about \
         nothing that there is: `If-Match` never holds, `If-None-Match` always.",
    )
    .shared(&["If-Match", "If-None-Match"])
    .body(&examples::undo_request())
    .answer(
        200,
        "What became of each task.",
        &["Consistency-Token"],
        &examples::batch_results(),
    )
    .problems(&[NotFound, ProjectionBehind, VersionMismatch])
    .build()
}

fn verb(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    about: &'static str,
    status: Status,
) -> Endpoint {
    on_task(HttpMethod::Post, path, id, summary)
        .about(about)
        .empty_body(&NoFields {})
        .answer(
            200,
            "The task after the command.",
            &["ETag", "Consistency-Token"],
            &examples::task_with(status),
        )
        .problems(&[IllegalTransition])
        .build()
}

/// A command on a task that is there already.
fn on_task(method: HttpMethod, path: &'static str, id: &'static str, summary: &'static str) -> Builder {
    command(method, path, id, summary)
        .shared(&["id", "If-Match", "If-None-Match"])
        .problems(&[NotFound, VersionMismatch])
}

fn command(method: HttpMethod, path: &'static str, id: &'static str, summary: &'static str) -> Builder {
    endpoint(method, path, TAG, id, summary)
        .needs_role()
        .shared(&["Idempotency-Key"])
        .problems(&[IdempotencyKeyReused])
}
