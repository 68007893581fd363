//! The paths of the query API, and the endpoint behind each.

use axum::{Router, middleware, routing::get};
use http_api::{check_untagged_conditions, refuse_parameters};

use crate::{
    app_state::AppState,
    endpoints::{
        audit, audit_events, get_task, list_tasks, task_changes, task_events, task_history, task_summary,
    },
};

pub(crate) fn router(state: AppState) -> Router {
    let without_parameters = Router::<AppState>::new()
        .route("/tasks/summary", get(task_summary::task_summary))
        .route("/tasks/events", get(task_events::task_events))
        .route("/audit/checkpoint", get(audit::checkpoint::checkpoint));
    let untagged = refuse_parameters(without_parameters)
        // The others read their parameters themselves.
        .route("/tasks/changes", get(task_changes::task_changes))
        .route("/tasks/{id}/history", get(task_history::task_history))
        .route("/audit/proof", get(audit::proof::proof))
        .route("/audit/consistency", get(audit::consistency::consistency))
        .route("/audit/export", get(audit::export::export))
        .route("/audit/events", get(audit_events::audit_events))
        .route_layer(middleware::from_fn(check_untagged_conditions));
    let tiles = Router::<AppState>::new().route("/audit/tile/{*path}", get(audit::tile::tile));
    refuse_parameters(tiles)
        // These two read their parameters themselves, too.
        .route("/tasks", get(list_tasks::list_tasks))
        .route("/tasks/{id}", get(get_task::get_task))
        .merge(untagged)
        .with_state(state)
}
