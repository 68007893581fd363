//! An answer as it is kept: status, headers and body.

use axum::{
    body::{Body, to_bytes},
    response::Response,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::IdempotencyError;

/// More than the answer to a batch takes: 100 tasks with descriptions of 10,000 characters.
const MOST_BYTES: usize = 16 << 20;

/// The first answer to a command, to be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl StoredAnswer {
    /// Takes a response apart.
    ///
    /// # Errors
    /// When it is not text, which no answer of ours is.
    pub async fn from_response(response: Response) -> Result<Self, IdempotencyError> {
        let (parts, body) = response.into_parts();
        let unfit = |what: &'static str| IdempotencyError::Unfit(what);
        let body = to_bytes(body, MOST_BYTES)
            .await
            .map_err(|_| unfit("the body is too long"))?;
        let headers = parts.headers.iter().map(|(name, value)| {
            let value = value.to_str().map_err(|_| unfit("a header is not text"))?;
            Ok((name.as_str().to_owned(), value.to_owned()))
        });
        Ok(Self {
            status: parts.status.as_u16(),
            headers: headers.collect::<Result<_, IdempotencyError>>()?,
            body: String::from_utf8(body.to_vec()).map_err(|_| unfit("the body is not text"))?,
        })
    }

    /// Puts the response together again.
    ///
    /// # Errors
    /// When what was stored is no response.
    pub fn into_response(self) -> Result<Response, IdempotencyError> {
        let unfit = |what: &'static str| IdempotencyError::Unfit(what);
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).map_err(|_| unfit("the status is unknown"))?;
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).map_err(|_| unfit("a header's name is malformed"))?;
            let value = HeaderValue::try_from(value).map_err(|_| unfit("a header's value is malformed"))?;
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }
}
