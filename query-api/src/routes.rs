//! The paths of the query API, and the endpoint behind each.

use axum::{Router, routing::get};

use crate::{
    app::App,
    endpoints::{get_task, list_tasks},
};

/// Every query.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/tasks", get(list_tasks::list_tasks))
        .route("/tasks/{id}", get(get_task::get_task))
        .with_state(app)
}
