//! Errors as clients see them: `application/problem+json` (RFC 9457). Knows no domain.

use api_types::{FieldError, ProblemCode};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use events::BoundedText;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    error_list::{ErrorRoom, MAX_TEXT},
    request_id,
};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// One error answer. Its `request_id` is filled in from the request being served.
///
/// Boxed, because it is the `Err` of many results.
#[derive(Debug, Clone)]
pub struct Problem(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    status: StatusCode,
    code: ProblemCode,
    detail: Option<String>,
    errors: Vec<FieldError>,
    mfa_token: Option<String>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of this code, with its status and title.
    pub fn new(code: ProblemCode) -> Self {
        Self(Box::new(Content {
            // The status of every code is one.
            status: StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            detail: None,
            errors: Vec::new(),
            mfa_token: None,
            headers: HeaderMap::new(),
        }))
    }

    /// Sets the description of this occurrence, a sentence for the reader.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        // It may repeat what the client sent.
        self.0.detail = Some(BoundedText::<MAX_TEXT>::from(text.into()).into());
        self
    }

    /// Adds the token with which the login continues.
    #[must_use]
    pub fn mfa_token(mut self, token: &str) -> Self {
        self.0.mfa_token = Some(token.to_owned());
        self
    }

    /// Adds a response header; the same name again replaces it.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// `401` with the challenge that RFC 9110, section 15.5.2, asks for. The `description` says what is wrong with a
    /// token (RFC 6750, section 3).
    pub fn unauthorized(code: ProblemCode, detail: &str, description: Option<&str>) -> Self {
        let invalid = |text: &str| format!(r#"Bearer error="invalid_token", error_description="{text}""#);
        let challenge = description.and_then(|text| HeaderValue::try_from(invalid(text)).ok());
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Bearer"));
        let problem = Self::new(code).detail(detail);
        problem.header(header::WWW_AUTHENTICATE, challenge)
    }

    /// `404 not-found`: not there, or someone else's.
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound)
    }

    /// `404 not-found` for a path that no endpoint has.
    pub fn no_such_path() -> Self {
        Self::not_found().detail("There is no such path.")
    }

    /// `405 method-not-allowed`. The caller, or the router, adds `Allow`.
    pub fn method_not_allowed() -> Self {
        Self::new(ProblemCode::MethodNotAllowed)
    }

    /// `400 malformed-json`: the body ended before it was complete, or its chunks are malformed.
    pub fn incomplete_body() -> Self {
        Self::new(ProblemCode::MalformedJson).detail("the body ended before it was complete")
    }

    /// `408 request-timeout`: the body took too long to arrive. The connection cannot be used any more.
    pub fn request_timeout() -> Self {
        Self::new(ProblemCode::RequestTimeout).header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// `503 unavailable` with `Retry-After: 1`: something that this role depends on is down.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Unavailable).detail(detail).retry_after(1)
    }

    /// `503 overloaded` with `Retry-After: 1`: there is too much to do, and nothing was done.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Overloaded).detail(detail).retry_after(1)
    }

    /// `500 internal`, without detail: the request id leads to the log.
    pub fn internal() -> Self {
        Self::new(ProblemCode::Internal)
    }

    /// `422 validation-failed` with every error at once. What is more than a person would read is only counted.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        Self::validation_within(errors, &mut ErrorRoom::default())
    }

    /// Like [`Self::validation`], in an answer with several problems that share the `room` for errors.
    #[must_use]
    pub fn validation_within(errors: Vec<FieldError>, room: &mut ErrorRoom) -> Self {
        let mut problem = Self::new(ProblemCode::ValidationFailed);
        problem.0.errors = room.list(errors);
        problem
    }

    /// `400 bad-parameter` for the query parameter or header `name`.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::BadParameter).detail(format!("{name}: {}", detail.into()))
    }

    /// The problem for an error status without a body, as routers and extractors of libraries answer.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let mut problem = match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(ProblemCode::BodyTooLarge),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(ProblemCode::UnsupportedMediaType),
            StatusCode::TOO_MANY_REQUESTS => Self::new(ProblemCode::RateLimited),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable("Try again in a moment."),
            status if status.is_client_error() => Self::new(ProblemCode::BadRequest),
            _ => Self::internal(),
        };
        problem.0.status = status;
        problem
    }

    /// The problem in the form that clients see.
    pub fn document(&self) -> api_types::Problem {
        let content = &*self.0;
        api_types::Problem {
            r#type: format!("/problems/{}", content.code),
            title: content.code.title().into(),
            status: content.status.as_u16(),
            detail: content.detail.clone().or_else(|| match content.code {
                ProblemCode::Internal => None,
                code => Some(code.meaning().to_owned()),
            }),
            code: content.code,
            errors: content.errors.clone(),
            mfa_token: content.mfa_token.clone(),
            request_id: request_id::current(),
        }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code: the last part of `type`.
    pub fn code(&self) -> &'static str {
        self.0.code.as_str()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings, numbers and lists only: writing them as JSON cannot fail.
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let content = *self.0;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = content.status;
        response.extensions_mut().insert(content.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(content.headers);
        response
    }
}
