//! The body of a request that has nothing to say.

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequest, Request},
};
use futures::{StreamExt, stream};
use http_api::{Form, JsonObject, Problem};

/// No body, with or without a content type, or an empty JSON object.
pub(crate) struct NoFields;

impl<S: Send + Sync> FromRequest<S> for NoFields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        if request.body().is_end_stream() {
            return Ok(Self);
        }
        let (parts, body) = request.into_parts();
        let mut body = body.into_data_stream();
        // A chunked body shows only when read whether there is anything in it.
        let first = loop {
            match body.next().await {
                None => return Ok(Self),
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(first) => break first,
            }
        };
        let body = Body::from_stream(stream::iter([first]).chain(body));
        let JsonObject { fields } = JsonObject::from_request(Request::from_parts(parts, body), state).await?;
        Form::new(fields).finish()?;
        Ok(Self)
    }
}
