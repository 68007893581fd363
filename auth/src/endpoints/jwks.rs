//! `GET /.well-known/jwks.json`: the public keys (RFC 7517).

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use crate::app_state::App;

pub(crate) async fn jwks(State(app): State<Arc<App>>) -> Response {
    let body = app.tokens.keyring().jwks().encode();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
