//! The task in a path.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use events::TaskId;
use http::request::Parts;

/// The `{id}` of the path; `None` when it is not a UUID in its usual form, so that there is no such task.
pub(crate) struct TaskPath(pub(super) Option<TaskId>);

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let id = Path::<String>::from_request_parts(parts, state).await.ok();
        Ok(Self(id.and_then(|Path(id)| id.parse().ok())))
    }
}
