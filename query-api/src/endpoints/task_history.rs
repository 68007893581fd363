//! `GET /tasks/{id}/history`: what happened to one task, the oldest first.

use api_types::{BorrowedHistoryItem, TaskHistory};
use auth_client::TaskOwner;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use database::Row;
use events::{TaskId, UserId};
use http::{HeaderMap, header};
use http_api::{AtLeast, Parameters, PathId};

use super::{JSON, MAX_LIMIT, consistency::reached, json};
use crate::{
    admission::Cost,
    app_state::AppState,
    error::ApiError,
    tasks::{self, HistoryCursor},
};

const DEFAULT_LIMIT: u16 = 50;

/// Answers with a page of the history; the task may be in the trash.
pub(crate) async fn task_history(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    id: PathId<TaskId>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let limit = parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let cursor = parameters.single("cursor", |text| Ok(text.to_owned()))?;
    parameters.finish()?;
    let at_least = AtLeast::of(&headers)?;
    let (owner, task) = (caller.user_id(), id.or_not_found()?);
    let after =
        cursor.map(|cursor| HistoryCursor::read(&state.cursor_key, &cursor, owner, task)).transpose()?;

    let shown = reached(&state, owner, &at_least).await?;
    Ok(shown.mark(show(&state, owner, task, after, limit).await))
}

async fn show(
    state: &AppState,
    owner: UserId,
    task: TaskId,
    after: Option<HistoryCursor>,
    limit: u16,
) -> Result<Response, ApiError> {
    let admitted = state.admission.admit(owner, Cost::Ordinary).await?;
    let page = tasks::history(&state.read_models, &state.cursor_key, owner, task, after, limit).await?;
    drop(admitted);

    let body = TaskHistory {
        items: page.rows.iter().filter_map(|row| readable(state, row)).collect(),
        next_cursor: page.next_cursor,
    };
    Ok(([(header::CONTENT_TYPE, JSON)], json(&body)?).into_response())
}

/// The event of a row; `None` when a newer release or damage made it unreadable. Then the others are shown.
fn readable<'r>(state: &AppState, row: &'r Row) -> Option<BorrowedHistoryItem<'r>> {
    tasks::history_item_of(row).inspect_err(|error| state.metrics.leave_out("task_history", error)).ok()
}
