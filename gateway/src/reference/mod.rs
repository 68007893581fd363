//! Serves the contract: `/openapi.json` for programs and `/docs` for people. Both are made once, from the types of
//! the contract. The page loads nothing and runs nothing; its one style sheet is named by its hash.

mod page;
mod schema;
mod text;

use std::sync::LazyLock;

use api_types::openapi;
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_api::{check_untagged_conditions, refuse_parameters};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
/// Clients may cache the contract for about as long as the rollout of a release takes.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::text().into());
static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let document = serde_json::from_slice(&DOCUMENT).unwrap_or_default();
    page::of(&document, STYLE).into()
});
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = BASE64.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Letters, digits and the signs above are always a header value.
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// The paths that the gateway itself answers.
pub(crate) fn router() -> Router {
    let routes = Router::new().route("/openapi.json", get(document)).route("/docs", get(page));
    refuse_parameters(routes).route_layer(middleware::from_fn(check_untagged_conditions))
}

async fn document() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, CACHE_CONTROL),
    ];
    (headers, DOCUMENT.clone()).into_response()
}

async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, CACHE_CONTROL),
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (headers, PAGE.clone()).into_response()
}
