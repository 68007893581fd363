//! A cached answer.

use std::sync::Arc;

use auth_client::Identity;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use events::ConsistencyToken;
use http::{HeaderMap, HeaderName, StatusCode, header};
use http_api::CONSISTENCY_TOKEN;
use hyper::body::Body as _;
use tokio::time::Instant;

use super::lookup::{Key, Lookup};
use crate::{consistency, error::ForwardError};

/// The longest answer that is cached, in bytes. Longer ones are passed on.
const LONGEST: u64 = 256 * 1024;
/// The approximate size of an answer without its target and body, in bytes.
const OVERHEAD: usize = 1_024;
/// The headers that belong to the content. Others belong to one request, or are added later.
const KEPT: [&HeaderName; 4] = [
    &header::CONTENT_TYPE,
    &header::ETAG,
    &header::LINK,
    &header::CACHE_CONTROL,
];

/// An answer with the facts that decide whether it can be used.
#[derive(Debug)]
pub(super) struct Stored {
    headers: HeaderMap,
    body: Bytes,
    identity: Arc<Identity>,
    /// The state that it includes.
    shown: ConsistencyToken,
    /// When the role was asked.
    pub(super) asked: Instant,
}

/// The result of reading an answer.
pub(super) enum Taken {
    /// It can be cached.
    Stored(Stored),
    /// It is passed on unchanged.
    Passed(Response),
}

impl Stored {
    /// Reads the answer to `lookup`, for which the role was asked at `asked`.
    ///
    /// # Errors
    /// When it breaks off.
    pub(super) async fn take(
        lookup: &Lookup,
        asked: Instant,
        response: Response,
    ) -> Result<Taken, ForwardError> {
        let own = ConsistencyToken::new(lookup.identity.user_id, 0);
        let shown = consistency::token_in(response.headers()).filter(|shown| shown.same_subject(own));
        let is_short = response
            .body()
            .size_hint()
            .exact()
            .is_some_and(|size| size <= LONGEST);
        let (StatusCode::OK, Some(shown), true) = (response.status(), shown, is_short) else {
            return Ok(Taken::Passed(response));
        };
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .map_err(|_| ForwardError::BrokenOff)?;
        let mut headers: HeaderMap = KEPT
            .iter()
            .filter_map(|name| Some(((*name).clone(), parts.headers.get(*name)?.clone())))
            .collect();
        if let Some(token) = parts.headers.get(&CONSISTENCY_TOKEN) {
            headers.insert(&CONSISTENCY_TOKEN, token.clone());
        }
        Ok(Taken::Stored(Self {
            headers,
            body,
            identity: Arc::clone(&lookup.identity),
            shown,
            asked,
        }))
    }

    /// Whether it includes the state that `lookup` requires, and the caller is unchanged: roles and address must be
    /// the same.
    pub(super) fn suits(&self, lookup: &Lookup) -> bool {
        self.shown.position >= lookup.at_least && self.identity == lookup.identity
    }

    pub(super) fn answer(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// The size with `key`, in bytes.
    pub(super) fn weight(&self, key: &Key) -> u32 {
        u32::try_from(OVERHEAD + key.target.len() + self.body.len()).unwrap_or(u32::MAX)
    }
}
