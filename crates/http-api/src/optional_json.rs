//! An optional body.

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequest, Request},
};
use futures::{StreamExt, stream};
use serde_json::{Map, Value};

use crate::{JsonObject, Problem, untagged_conditions::refuse_failed};

/// A body that is one JSON object, or none, with or without a content type, which is the same as an empty object.
#[derive(Debug, Clone)]
pub struct OptionalJsonObject {
    /// The members of the object.
    pub fields: Map<String, Value>,
}

impl<S: Send + Sync> FromRequest<S> for OptionalJsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        refuse_failed(request.extensions())?;
        let nothing = || Ok(Self { fields: Map::new() });
        if request.body().is_end_stream() {
            return nothing();
        }
        let (parts, body) = request.into_parts();
        let mut body = body.into_data_stream();
        // Whether a chunked body is empty shows only when it is read.
        let first = loop {
            match body.next().await {
                None => return nothing(),
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(first) => break first,
            }
        };
        let body = Body::from_stream(stream::iter([first]).chain(body));
        let JsonObject { fields } = JsonObject::from_request(Request::from_parts(parts, body), state).await?;
        Ok(Self { fields })
    }
}
