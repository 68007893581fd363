//! The body of a request without fields.

use axum::extract::{FromRequest, Request};

use crate::{Form, OptionalJsonObject, Problem};

/// No body, with or without a content type, or an empty JSON object.
#[derive(Debug, Clone, Copy)]
pub struct NoFields;

impl<S: Send + Sync> FromRequest<S> for NoFields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let OptionalJsonObject { fields } = OptionalJsonObject::from_request(request, state).await?;
        Form::new(fields).finish()?;
        Ok(Self)
    }
}
