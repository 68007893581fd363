//! The routes of the query API: one file for each query, with its request, its handler and its tests.

mod consistency;
mod error;
mod get_task;
mod list_tasks;

use std::sync::Arc;

use auth_client::Verifier;
use axum::{Router, extract::FromRef, routing::get};
use database::Database;
use http::HeaderValue;
use runtime::Clock;

use crate::{
    admission::Admission,
    checkpoints::Checkpoints,
    metrics::{UnreadableRows, Waiting},
    tasks::CursorKey,
};
use error::ApiError;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) read_models: Database,
    pub(crate) admission: Admission,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cursor_key: CursorKey,
    pub(crate) waiting: Waiting,
    pub(crate) unreadable_rows: UnreadableRows,
}

impl FromRef<App> for Arc<Verifier> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.verifier)
    }
}

/// Every query.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/tasks", get(list_tasks::list_tasks))
        .route("/tasks/{id}", get(get_task::get_task))
        .with_state(app)
}

/// How task responses may be kept: by the caller's own client, asking again each time.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

#[cfg(test)]
mod tests;
