//! The paths of the commands, and the endpoint behind each.

use axum::{
    Extension, Router, middleware,
    routing::{patch, post},
};
use http_api::{BodyLimit, refuse_parameters};

use crate::{
    app_state::AppState,
    endpoints::{
        batch, cancel_task, change_task, complete_task, create_task, delete_task, reopen_task, restore_task,
        revert_task, start_task, undo_request,
    },
};

/// Every command endpoint, bare.
pub(crate) fn router(state: AppState) -> Router {
    Router::new()
        .route("/tasks", post(create_task::create_task))
        .route(
            "/tasks/batch",
            post(batch::run_batch).layer(Extension(BodyLimit(batch::MAX_BYTES))),
        )
        .route("/tasks/undo", post(undo_request::undo_request))
        .route(
            "/tasks/{id}",
            patch(change_task::change_task).delete(delete_task::delete_task),
        )
        .route("/tasks/{id}/start", post(start_task::start_task))
        .route("/tasks/{id}/complete", post(complete_task::complete_task))
        .route("/tasks/{id}/cancel", post(cancel_task::cancel_task))
        .route("/tasks/{id}/reopen", post(reopen_task::reopen_task))
        .route("/tasks/{id}/restore", post(restore_task::restore_task))
        .route("/tasks/{id}/revert", post(revert_task::revert_task))
        .route_layer(middleware::from_fn(refuse_parameters))
        .with_state(state)
}
