//! The paths of the commands, and the endpoint behind each.

use axum::{
    Extension, Router,
    routing::{patch, post},
};
use http_api::{BodyLimit, refuse_parameters};

use crate::{
    app_state::AppState,
    domain::{CancelTask, CompleteTask, DeleteTask, ReopenTask, RestoreTask, StartTask},
    endpoints::{bare_command::bare_command, batch, change_task, create_task, revert_task, undo_request},
};

pub(crate) fn router(state: AppState) -> Router {
    let routes = Router::new()
        .route("/tasks", post(create_task::create_task))
        .route("/tasks/batch", post(batch::run_batch).layer(Extension(BodyLimit(batch::MAX_BYTES))))
        .route("/tasks/undo", post(undo_request::undo_request))
        .route("/tasks/{id}", patch(change_task::change_task).delete(bare_command::<DeleteTask>))
        .route("/tasks/{id}/start", post(bare_command::<StartTask>))
        .route("/tasks/{id}/complete", post(bare_command::<CompleteTask>))
        .route("/tasks/{id}/cancel", post(bare_command::<CancelTask>))
        .route("/tasks/{id}/reopen", post(bare_command::<ReopenTask>))
        .route("/tasks/{id}/restore", post(bare_command::<RestoreTask>))
        .route("/tasks/{id}/revert", post(revert_task::revert_task));
    refuse_parameters(routes).with_state(state)
}
