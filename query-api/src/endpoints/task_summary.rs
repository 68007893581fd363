//! `GET /tasks/summary`: how many tasks the caller has, of each kind.

use auth_client::TaskOwner;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use http_api::AtLeast;

use super::consistency::reached;
use crate::{admission::Cost, app_state::App, error::ApiError, tasks};

/// Answers with the counts.
pub(crate) async fn task_summary(
    State(app): State<App>,
    TaskOwner(caller): TaskOwner,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let shown = reached(&app, caller.user_id(), &AtLeast::of(&headers)?).await?;
    let _admitted = app.admission.admit(caller.user_id(), Cost::High).await?;
    let counting = tasks::summary(&app.read_models, caller.user_id(), app.clock.now());
    let summary = tokio::time::timeout(tasks::TIMEOUT, counting)
        .await
        .map_err(|_| ApiError::TooSlow)??;
    Ok((shown.headers(), Json(summary)).into_response())
}
