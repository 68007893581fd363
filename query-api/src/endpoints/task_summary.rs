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
use crate::{
    admission::Cost,
    app_state::AppState,
    error::ApiError,
    tasks::{self, QueryError},
};

pub(crate) async fn task_summary(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let shown = reached(&state, caller.user_id(), &AtLeast::of(&headers)?).await?;
    let _admitted = state.admission.admit(caller.user_id(), Cost::High).await?;
    let read_models = state.read_models_at(Cost::High);
    let counting = tasks::summary(&read_models, caller.user_id(), state.clock.now());
    let summary = tokio::time::timeout(tasks::TIMEOUT, counting).await.map_err(|_| QueryError::TooSlow)??;
    Ok((shown.headers(), Json(summary)).into_response())
}
