//! Answers with a `Consistency-Token`.

use api_types::UserBody;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use events::{Account, ConsistencyToken, UserId};
use http::StatusCode;
use http_api::{CONSISTENCY_TOKEN, consistency_token};
use serde::Serialize;

/// An answer with `body`, which includes everything about `subject` up to `position`.
pub(crate) fn json(status: StatusCode, body: &impl Serialize, subject: UserId, position: u64) -> Response {
    with_token((status, Json(body)).into_response(), subject, position)
}

/// An answer with an account, which includes everything about it up to `position`.
pub(crate) fn account(account: Account, position: u64) -> Response {
    let id = account.id;
    json(StatusCode::OK, &UserBody::from(account), id, position)
}

/// An answer without a body.
pub(crate) fn no_content(subject: UserId, position: u64) -> Response {
    with_token(StatusCode::NO_CONTENT.into_response(), subject, position)
}

fn with_token(mut response: Response, subject: UserId, position: u64) -> Response {
    let token = consistency_token(ConsistencyToken::new(subject, position));
    response.headers_mut().insert(&CONSISTENCY_TOKEN, token);
    response
}
