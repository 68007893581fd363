//! A cached answer.

use std::sync::Arc;

use auth_client::Identity;
use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use events::ConsistencyToken;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_api::CONSISTENCY_TOKEN;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::Instant;

use super::lookup::{Key, Lookup};
use crate::{consistency, error::ForwardError};

/// The longest answer that is cached, in bytes. Longer ones are passed on.
pub(crate) const MAX_BYTES: u64 = 256 * 1024;
/// The approximate size of an answer without its target and body, in bytes.
const OVERHEAD: usize = 1_024;
/// The headers that belong to the content. Others belong to one request, or are added later.
const KEPT: [&HeaderName; 5] =
    [&CONSISTENCY_TOKEN, &header::CONTENT_TYPE, &header::ETAG, &header::LINK, &header::CACHE_CONTROL];

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
    pub(super) async fn take(
        lookup: &Lookup,
        asked: Instant,
        response: Response,
    ) -> Result<Taken, ForwardError> {
        let own = ConsistencyToken::new(lookup.identity.user_id, 0);
        let shown = consistency::token_in(response.headers()).filter(|shown| shown.same_subject(own));
        let is_short = response.body().size_hint().exact().is_some_and(|size| size <= MAX_BYTES);
        let (StatusCode::OK, Some(shown), true) = (response.status(), shown, is_short) else {
            return Ok(Taken::Passed(response));
        };
        let (parts, body) = response.into_parts();
        let body = copied(body).await.map_err(|_| ForwardError::BrokenOff)?;
        let copied = |name: &HeaderName| HeaderValue::from_bytes(parts.headers.get(name)?.as_bytes()).ok();
        let headers = KEPT.iter().filter_map(|name| Some(((*name).clone(), copied(name)?))).collect();
        Ok(Taken::Stored(Self { headers, body, identity: Arc::clone(&lookup.identity), shown, asked }))
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

/// A copy of a short body. What is cached must not keep the much larger buffers into which it was read.
async fn copied(mut body: Body) -> Result<Bytes, axum::Error> {
    let size = body.size_hint().lower();
    let mut copy = BytesMut::with_capacity(usize::try_from(size.min(MAX_BYTES)).unwrap_or_default());
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            copy.extend_from_slice(data);
        }
    }
    Ok(copy.freeze())
}

#[cfg(test)]
mod tests {
    use auth_client::{Credential, TokenHash};
    use events::{SessionId, Timestamp, UserId};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_does_not_keep_the_buffers_it_was_read_into() {
        let user_id = UserId(Uuid::from_u128(1));
        let lookup = Lookup {
            key: Key { token: TokenHash::of("a.b.c"), target: "/tasks".to_owned() },
            identity: Arc::new(Identity {
                user_id,
                credential: Credential::Session(SessionId(Uuid::from_u128(2))),
                email: "a@example.com".to_owned(),
                roles: [].into(),
                expires_at: Timestamp::MAX,
            }),
            at_least: 0,
            is_refresh: false,
        };
        let buffer = Bytes::from("x".repeat(8 * 1024));
        let token = ConsistencyToken::new(user_id, 7).to_string();
        let tokens = Bytes::from(token.clone());
        let value = |bytes| HeaderValue::from_maybe_shared::<Bytes>(bytes).unwrap();
        let mut response = Response::new(Body::from(buffer.slice(..10)));
        response.headers_mut().insert(header::ETAG, value(buffer.slice(..20)));
        response.headers_mut().insert(&CONSISTENCY_TOKEN, value(tokens.clone()));
        let taken = Stored::take(&lookup, Instant::now(), response).await.unwrap();
        assert!(buffer.is_unique() && tokens.is_unique());
        let Taken::Stored(stored) = taken else { unreachable!("it is short, and shows a state") };
        let answer = stored.answer();
        assert_eq!(answer.headers()[header::ETAG], "x".repeat(20));
        assert_eq!(answer.headers()[&CONSISTENCY_TOKEN], token);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "x".repeat(10));
    }
}
