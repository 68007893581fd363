//! `PATCH /tasks/{id}`: changes some fields of a task at once (JSON Merge Patch, RFC 7396).

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{Form, JsonObject, PathId, Presence};

use super::{command_headers::CommandHeaders, fields};
use crate::{app_state::AppState, domain::ChangeTask, error::ApiError};

/// `200` with the task; if nothing changes, `200` with the same version.
pub(crate) async fn change_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    id: PathId<TaskId>,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let keyed = headers.keyed(&body.fields);
    let mut form = Form::new(body.fields);
    let command = read(&mut form);
    form.finish()?;
    state.run(&caller, &headers, keyed, id.or_not_found()?, command).await
}

/// `{title?, description?, priority?, due?, tags?, status?}`: an absent field stays, `null` clears `description`,
/// `due` and `tags` and is an error for the others. Mistakes are rejected in the form.
pub(crate) fn read(form: &mut Form) -> ChangeTask {
    let title = fields::not_null(form, "title", fields::title);
    let description = form.optional("description", fields::description);
    let priority = fields::not_null(form, "priority", fields::priority);
    let due = form.optional("due", fields::due);
    let tags = form.optional("tags", fields::tags);
    let status = fields::not_null(form, "status", fields::status);
    ChangeTask {
        title,
        description: change(description),
        priority,
        due: change(due),
        tags: change(tags).map(Option::unwrap_or_default),
        status,
    }
}

/// Keep (`None`), clear (`Some(None)`) or set.
fn change<T>(presence: Presence<T>) -> Option<Option<T>> {
    match presence {
        Presence::Absent => None,
        Presence::Null => Some(None),
        Presence::Value(value) => Some(Some(value)),
    }
}
