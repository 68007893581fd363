//! `GET /tasks/{id}/history`: what happened to one task, the oldest first.

use api_types::{BorrowedHistoryItem, TaskHistory};
use auth_client::TaskOwner;
use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use database::Row;
use http::{HeaderMap, header};
use http_api::{AtLeast, Parameters, limit_to};

use super::{JSON, LONGEST_LIMIT, consistency::reached, get_task::task_id, json};
use crate::{
    admission::Cost,
    app_state::App,
    error::ApiError,
    tasks::{self, HistoryPlace},
};

const DEFAULT_LIMIT: u16 = 50;

/// Answers with a page of the history; the task may be in the trash.
pub(crate) async fn task_history(
    State(app): State<App>,
    TaskOwner(caller): TaskOwner,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut parameters = Parameters::parse(query.as_deref().unwrap_or_default())?;
    let limit = parameters
        .single("limit", limit_to(LONGEST_LIMIT))?
        .unwrap_or(DEFAULT_LIMIT);
    let cursor = parameters.single("cursor", |text| Ok(text.to_owned()))?;
    parameters.finish()?;
    let at_least = AtLeast::of(&headers)?;
    let (owner, task) = (caller.user_id(), task_id(id)?);
    let after = cursor
        .map(|cursor| HistoryPlace::read(&app.cursor_key, &cursor, owner, task))
        .transpose()?;

    let shown = reached(&app, owner, &at_least).await?;
    let admitted = app.admission.admit(owner, Cost::Ordinary).await?;
    let page = tasks::history(&app.read_models, &app.cursor_key, owner, task, after, limit).await?;
    drop(admitted);

    let body = TaskHistory {
        items: page.rows.iter().filter_map(|row| readable(&app, row)).collect(),
        next_cursor: page.next_cursor,
    };
    let mut answer = shown.headers();
    answer.insert(header::CONTENT_TYPE, JSON);
    Ok((answer, json(&body)?).into_response())
}

/// The event of a row; `None` when a newer release or damage made it unreadable. Then the others are shown.
fn readable<'r>(app: &App, row: &'r Row) -> Option<BorrowedHistoryItem<'r>> {
    tasks::history_item_of(row)
        .inspect_err(|error| app.unreadable_rows.leave_out("task_history", error))
        .ok()
}
