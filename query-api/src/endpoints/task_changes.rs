//! `GET /tasks/changes`: the tasks that have changed since an earlier request.

use api_types::TaskChanges;
use auth_client::TaskOwner;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use database::Row;
use events::TaskId;
use http::{HeaderMap, header};
use http_api::{AtLeast, Parameters};

use super::{JSON, MAX_LIMIT, consistency::reached, json};
use crate::{
    admission::Cost,
    app_state::AppState,
    error::ApiError,
    tasks::{self, ChangeToken},
};

const DEFAULT_LIMIT: u16 = 100;

/// Answers with the tasks that have changed since the token, and with the next token.
pub(crate) async fn task_changes(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let token = parameters.single("since", |text| Ok(text.to_owned()))?;
    let limit = parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    parameters.finish()?;
    let owner = caller.user_id();
    let since = match token {
        Some(token) => ChangeToken::read(&state.cursor_key, &token, owner)?,
        None => ChangeToken::BEGINNING,
    };
    let shown = reached(&state, owner, &AtLeast::of(&headers)?).await?;
    let admitted = state.admission.admit(owner, Cost::Ordinary).await?;
    let changes = tasks::changes(&state.read_models, &state.projection, owner, since, limit).await?;
    drop(admitted);

    let mut body = TaskChanges {
        changed: Vec::with_capacity(changes.rows.len()),
        deleted: changes.purged,
        next: changes.next.write(&state.cursor_key, owner),
        more: changes.more,
    };
    for row in &changes.rows {
        if is_deleted(row)? {
            body.deleted.push(TaskId(row.uuid("id")?));
        } else if let Some(task) = super::list_tasks::view(&state, row) {
            body.changed.push(task);
        }
    }
    let mut answer = shown.headers();
    answer.insert(header::CONTENT_TYPE, JSON);
    Ok((answer, json(&body)?).into_response())
}

fn is_deleted(row: &Row) -> Result<bool, ApiError> {
    Ok(row.optional_integer("deleted_at")?.is_some())
}
