//! `POST /tasks`: creates a task.

use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use events::TaskId;
use http_api::{Form, JsonObject};
use runtime::new_id;

use super::{command_headers::CommandHeaders, fields};
use crate::{app_state::AppState, domain::CreateTask, error::ApiError};

/// `201` with the task and its `Location`.
pub(crate) async fn create_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: CommandHeaders,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let keyed = headers.keyed(&body.fields);
    let mut form = Form::new(body.fields);
    let command = read(&mut form);
    let command = form.finish_with(command)?;
    // The list of tasks always exists, but has no version.
    headers.check_without_version(true)?;
    state.run(&caller, &headers, keyed, TaskId(new_id()), command).await
}

/// `{title, description?, priority?, due?, tags?}`. Fields that can be cleared later may be `null`. Mistakes are
/// `None`, or rejected in the form.
pub(crate) fn read(form: &mut Form) -> Option<CreateTask> {
    let title = form.required("title", fields::title);
    let description = form.optional("description", fields::description);
    let priority = fields::not_null(form, "priority", fields::priority);
    let due = form.optional("due", fields::due);
    let tags = form.optional("tags", fields::tags);
    Some(CreateTask {
        title: title?,
        description: description.into_value(),
        priority: priority.unwrap_or_default(),
        due: due.into_value(),
        tags: tags.into_value().unwrap_or_default(),
    })
}
