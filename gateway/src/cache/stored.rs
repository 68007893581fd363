//! One answer that is kept, whole.

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

/// Longer answers are passed on as they come, in bytes.
const LONGEST: u64 = 256 * 1024;
/// What an answer takes beside its target and its body, roughly, in bytes.
const OVERHEAD: usize = 1_024;
/// The headers that belong to what is shown. Others belong to the request that was answered, or are added on the way.
const KEPT: [&HeaderName; 4] = [
    &header::CONTENT_TYPE,
    &header::ETAG,
    &header::LINK,
    &header::CACHE_CONTROL,
];

/// An answer, and how long it counts.
#[derive(Debug)]
pub(super) struct Stored {
    headers: HeaderMap,
    body: Bytes,
    identity: Arc<Identity>,
    /// The state that it shows.
    shown: ConsistencyToken,
    /// When the role was asked.
    pub(super) asked: Instant,
}

/// What came of an answer.
pub(super) enum Taken {
    /// It can be kept.
    Stored(Stored),
    /// It is passed on as it is.
    Passed(Response),
}

impl Stored {
    /// Takes the answer to `lookup`, for which the role was asked at `asked`.
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

    /// Whether it shows what `lookup` has to see. Roles or address that have changed since make it another caller's.
    pub(super) fn suits(&self, lookup: &Lookup) -> bool {
        self.shown.position >= lookup.at_least && self.identity == lookup.identity
    }

    pub(super) fn answer(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// What it takes under `key`, in bytes.
    pub(super) fn weight(&self, key: &Key) -> u32 {
        u32::try_from(OVERHEAD + key.target.len() + self.body.len()).unwrap_or(u32::MAX)
    }
}
