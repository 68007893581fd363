//! The parts of a request besides its body: conditions, idempotency key, and origin.

use auth_client::Caller;
use axum::extract::FromRequestParts;
use http::{
    HeaderMap,
    header::{IF_MATCH, IF_NONE_MATCH},
    request::Parts,
};
use http_api::{IDEMPOTENCY_KEY, Named, Preconditions, Problem, RequestContext, header_list, single_header};
use serde_json::{Map, Value};

use crate::{
    domain::ExpectedVersion,
    handling::{CommandMetadata, IdempotencyKey},
    idempotency::RequestHash,
};

/// A request for a command, without its body.
pub(crate) struct CommandHeaders {
    context: RequestContext,
    preconditions: Preconditions,
    key: Option<IdempotencyKey>,
    method: String,
    path: String,
    conditions: Vec<u8>,
}

impl CommandHeaders {
    /// The key, if there is one, with the hash of this request with `body`.
    pub(crate) fn keyed(&self, body: &Map<String, Value>) -> Option<(IdempotencyKey, RequestHash)> {
        let key = self.key.clone()?;
        Some((key, RequestHash::new(&self.method, &self.path, &self.conditions, body)))
    }

    /// The versions of a task that the conditions accept.
    pub(crate) fn expected(&self) -> ExpectedVersion {
        expected(self.preconditions.clone())
    }

    /// Checks the conditions of a request that is not about one task.
    pub(crate) fn check_without_version(&self, is_there: bool) -> Result<(), Problem> {
        self.preconditions.check_without_version(is_there)
    }

    /// The caller and the request.
    pub(crate) fn origin(&self, caller: &Caller) -> CommandMetadata {
        CommandMetadata {
            caller: caller.user_id(),
            actor: caller.actor(),
            correlation_id: self.context.request_id.clone(),
            traceparent: self.context.traceparent.clone(),
            idempotency_key: self.key.clone(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let key = idempotency_key(parts)?;
        let preconditions = Preconditions::of(&parts.headers)?;
        let Ok(context) = RequestContext::from_request_parts(parts, state).await;
        Ok(Self {
            context,
            preconditions,
            key,
            method: parts.method.as_str().to_owned(),
            // Ids may be written in either case.
            path: parts.uri.path().to_ascii_lowercase(),
            conditions: conditions(&parts.headers),
        })
    }
}

/// The versions that `If-Match` and `If-None-Match` accept. For a write both can only refuse (RFC 9110, section
/// 13.2.2).
fn expected(conditions: Preconditions) -> ExpectedVersion {
    match (conditions.if_match, conditions.if_none_match) {
        // `*` matches every version.
        (_, Some(Named::Any)) => ExpectedVersion::OneOf(Vec::new()),
        (None | Some(Named::Any), None) => ExpectedVersion::Any,
        (Some(Named::Versions(these)), None) => ExpectedVersion::OneOf(these),
        (None | Some(Named::Any), Some(Named::Versions(others))) => ExpectedVersion::NoneOf(others),
        (Some(Named::Versions(mut these)), Some(Named::Versions(others))) => {
            these.retain(|version| !others.contains(version));
            ExpectedVersion::OneOf(these)
        }
    }
}

/// The text of both headers, for comparing requests with the same key.
fn conditions(headers: &HeaderMap) -> Vec<u8> {
    let mut conditions = header_list(headers, &IF_MATCH).unwrap_or_default();
    if let Some(others) = header_list(headers, &IF_NONE_MATCH) {
        conditions.push(b'\n');
        conditions.extend(others);
    }
    conditions
}

fn idempotency_key(parts: &Parts) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = single_header(&parts.headers, &IDEMPOTENCY_KEY, "Idempotency-Key")? else {
        return Ok(None);
    };
    IdempotencyKey::parse(value.as_bytes())
        .map(Some)
        .map_err(|error| Problem::bad_parameter("Idempotency-Key", error.to_string()))
}
