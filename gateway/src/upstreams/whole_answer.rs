//! Reads a short answer to its end before it counts as an answer, so that another replica can be asked if it breaks
//! off.

use std::time::Duration;

use axum::{body::Body, response::Response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::timeout;

use crate::error::ForwardError;

/// The time limit for the rest of the answer, after its head.
const TIMEOUT: Duration = Duration::from_secs(2);

/// An extension of a request whose answer is not streamed to the client, if its body is of at most so many bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadWhole {
    pub(crate) up_to: u64,
}

impl ReadWhole {
    /// The answer with all of its body, or unchanged if it is long or of unknown length.
    ///
    /// # Errors
    /// When it breaks off, or takes longer than [`TIMEOUT`].
    pub(super) async fn read(self, response: Response) -> Result<Response, ForwardError> {
        let size = response.body().size_hint().exact();
        if size.is_none_or(|size| size > self.up_to) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        match timeout(TIMEOUT, body.collect()).await {
            Ok(Ok(body)) => Ok(Response::from_parts(parts, Body::from(body.to_bytes()))),
            Ok(Err(_)) | Err(_) => Err(ForwardError::BrokenOff),
        }
    }
}
