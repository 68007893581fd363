//! What a request says besides its body: conditions, idempotency key, and where it comes from.

use auth_client::Caller;
use axum::extract::FromRequestParts;
use http::{header::IF_MATCH, request::Parts};
use serde_json::{Map, Value};
use service::{IDEMPOTENCY_KEY, Precondition, Problem, RequestContext, if_match};

use crate::{
    domain::ExpectedVersion,
    handling::Origin,
    idempotency::{IdempotencyKey, RequestHash},
};

/// A request to do something, without its body.
pub(super) struct Call {
    context: RequestContext,
    pub(super) expected: ExpectedVersion,
    pub(super) key: Option<IdempotencyKey>,
    method: String,
    path: String,
    if_match: Vec<u8>,
    body: Map<String, Value>,
}

impl Call {
    /// The call with the body that makes it up together with its key.
    pub(super) fn with_body(self, body: &Map<String, Value>) -> Self {
        // Only keyed calls are compared.
        if self.key.is_some() {
            Self {
                body: body.clone(),
                ..self
            }
        } else {
            self
        }
    }

    /// Who asks, and in which request.
    pub(super) fn origin(&self, caller: &Caller) -> Origin {
        Origin {
            caller: caller.user_id(),
            correlation_id: self.context.request_id.clone(),
            traceparent: self.context.traceparent.clone(),
            idempotency_key: self.key.clone(),
        }
    }

    pub(super) fn hash(&self) -> RequestHash {
        RequestHash::new(&self.method, &self.path, &self.if_match, &self.body)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let key = idempotency_key(parts)?;
        let expected = match if_match(&parts.headers)? {
            Precondition::None | Precondition::Any => ExpectedVersion::Any,
            Precondition::Versions(versions) => ExpectedVersion::OneOf(versions),
        };
        let Ok(context) = RequestContext::from_request_parts(parts, state).await;
        Ok(Self {
            context,
            expected,
            key,
            method: parts.method.as_str().to_owned(),
            // Ids are the same in either case.
            path: parts.uri.path().to_ascii_lowercase(),
            if_match: parts
                .headers
                .get_all(IF_MATCH)
                .iter()
                .flat_map(|value| value.as_bytes())
                .copied()
                .collect(),
            body: Map::new(),
        })
    }
}

fn idempotency_key(parts: &Parts) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = parts.headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::bad_parameter("Idempotency-Key", "must be sent once"));
    }
    IdempotencyKey::parse(value.as_bytes())
        .map(Some)
        .map_err(|error| Problem::bad_parameter("Idempotency-Key", error.to_string()))
}
