//! `GET /audit/checkpoint`: the head of the tree, signed (C2SP `tlog-checkpoint`), with the cosignatures of witnesses.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use super::{FOR_A_MOMENT, TEXT, admit_anyone, newest};
use crate::{app_state::AppState, error::ApiError};

pub(crate) async fn checkpoint(State(state): State<AppState>) -> Result<Response, ApiError> {
    let _admitted = admit_anyone(&state).await?;
    let tree = newest(&state).await?;
    let signed = state.audit_tree.last_checkpoint(&tree).await?;
    let signed = signed.ok_or(ApiError::NotInTheTree)?;
    let headers = [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, FOR_A_MOMENT)];
    Ok((headers, signed.note.to_string()).into_response())
}
