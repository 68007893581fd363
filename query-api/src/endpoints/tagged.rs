//! Answers with an entity tag that stands for their bytes.

use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_api::{Problem, ReadOutcome, outcome_of_read};
use sha2::{Digest, Sha256};

use crate::error::ApiError;

/// Answers with the headers `answer` and the `body`, or with `304` or `412` if the conditions of the `request` on its
/// entity tag say so.
pub(super) fn tagged(
    request: &HeaderMap,
    mut answer: HeaderMap,
    content_type: HeaderValue,
    body: Vec<u8>,
) -> Result<Response, ApiError> {
    let etag = etag_of(&body);
    answer.insert(header::ETAG, etag.clone());
    match outcome_of_read(request, &etag)? {
        ReadOutcome::Show => {
            answer.insert(header::CONTENT_TYPE, content_type);
            Ok((answer, body).into_response())
        }
        ReadOutcome::NotModified => Ok((StatusCode::NOT_MODIFIED, answer).into_response()),
        ReadOutcome::Mismatch => Err(Problem::etag_mismatch(etag).into()),
    }
}

/// A hash of the bytes, 132 bits of it. It is strong, since two bodies with the same tag are the same byte for byte.
fn etag_of(body: &[u8]) -> HeaderValue {
    let hash = BASE64URL.encode(Sha256::digest(body));
    // Letters, digits, `-` and `_` between quotes are always a header value.
    HeaderValue::try_from(format!("\"{}\"", hash.get(..22).unwrap_or_default()))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
