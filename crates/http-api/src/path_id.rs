//! The id in a path.

use std::{convert::Infallible, str::FromStr};

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::problem::Problem;

/// The one `{id}` of a path. There is nothing with it if it is not an id in its usual form, or no text at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId<T>(Option<T>);

impl<T> PathId<T> {
    /// The id.
    ///
    /// # Errors
    /// `404 not-found` when it is none.
    pub fn or_not_found(self) -> Result<T, Problem> {
        self.0.ok_or_else(Problem::not_found)
    }
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let id = Path::<String>::from_request_parts(parts, state).await.ok();
        Ok(Self(id.and_then(|Path(id)| id.parse().ok())))
    }
}
