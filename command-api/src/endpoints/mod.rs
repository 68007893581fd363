//! The commands over HTTP: one file per endpoint. Handlers extract, call and map; they decide nothing.
//!
//! To add a command, give it a file here with its request and its handler, and a line in [`router`].

mod answer;
mod api;
mod batch;
mod call;
mod cancel_task;
mod change_task;
mod complete_task;
mod create_task;
mod delete_task;
mod error;
mod fields;
mod no_fields;
mod once;
mod reopen_task;
mod restore_task;
mod single;
mod start_task;
mod task_path;

pub(crate) use api::{Api, Shares};
use axum::{
    Extension, Router,
    routing::{patch, post},
};
use http_api::BodyLimit;

/// Every command endpoint, bare.
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/tasks", post(create_task::create_task))
        .route(
            "/tasks/batch",
            post(batch::run_batch).layer(Extension(BodyLimit(batch::MOST_BYTES))),
        )
        .route(
            "/tasks/{id}",
            patch(change_task::change_task).delete(delete_task::delete_task),
        )
        .route("/tasks/{id}/start", post(start_task::start_task))
        .route("/tasks/{id}/complete", post(complete_task::complete_task))
        .route("/tasks/{id}/cancel", post(cancel_task::cancel_task))
        .route("/tasks/{id}/reopen", post(reopen_task::reopen_task))
        .route("/tasks/{id}/restore", post(restore_task::restore_task))
        .with_state(api)
}
