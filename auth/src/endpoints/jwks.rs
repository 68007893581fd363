//! `GET /.well-known/jwks.json`: the public keys (RFC 7517).

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use crate::auth::Auth;

pub(crate) async fn jwks(State(auth): State<Arc<Auth>>) -> Response {
    let body = auth.tokens.keyring().jwks().encode();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
