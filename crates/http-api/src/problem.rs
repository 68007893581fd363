//! Errors as clients see them: `application/problem+json` (RFC 9457). Knows no domain.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use events::BoundedText;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer};

use crate::{
    error_list::{ErrorRoom, MOST_TEXT},
    field_error::FieldError,
    request_id,
};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// One error answer. Its `request_id` is filled in from the request being served.
///
/// Boxed, since it travels in the `Err` of many results.
#[derive(Debug, Clone)]
pub struct Problem(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Option<String>,
    errors: Vec<FieldError>,
    headers: HeaderMap,
}

/// The code of the problem in a response, kept beside it for the access log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemCode(pub(crate) &'static str);

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Problem {
    /// A problem whose `type` is `/problems/<code>`.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self(Box::new(Content {
            status,
            code,
            title,
            detail: None,
            errors: Vec::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// Says what happened this time, in a sentence for the person who reads it.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        // It may repeat what the client sent.
        self.0.detail = Some(BoundedText::<MOST_TEXT>::from(text.into()).into());
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

    /// `404 not-found`: not there, or someone else's.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here")
    }

    /// `405 method-not-allowed`. The caller, or the router, adds `Allow`.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This method is not allowed here",
        )
    }

    /// `408 request-timeout`: the body took too long to arrive. The connection is of no more use.
    #[must_use]
    pub fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request-timeout",
            "The request took too long to arrive",
        )
        .header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// `503 unavailable` with `Retry-After: 1`: something that this role depends on is down.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The service cannot answer right now",
        )
        .detail(detail)
        .retry_after(1)
    }

    /// `500 internal`, without detail: the request id leads to the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side",
        )
    }

    /// `422 validation-failed` with every error at once. What is more than a person would read is only counted.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        Self::validation_within(errors, &mut ErrorRoom::default())
    }

    /// As [`Self::validation`], in an answer that holds several problems and has so much room left for errors.
    #[must_use]
    pub fn validation_within(errors: Vec<FieldError>, room: &mut ErrorRoom) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
            "Some values are not acceptable",
        );
        problem.0.errors = room.list(errors);
        problem
    }

    /// `400 bad-parameter` for the query parameter or header `name`.
    #[must_use]
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-parameter",
            "A parameter is not acceptable",
        )
        .detail(format!("{name}: {}", detail.into()))
    }

    /// The problem for an error status that came without one, as routers and extractors of libraries make them.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, "body-too-large", "The body of the request is too large")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(
                status,
                "unsupported-media-type",
                "This type of content is not accepted here",
            ),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable("Try again in a moment."),
            status if status.is_client_error() => {
                Self::new(status, "bad-request", "The request is not acceptable")
            }
            _ => {
                let mut problem = Self::internal();
                problem.0.status = status;
                problem
            }
        }
    }

    fn document(&self) -> Document<'_> {
        let content = &*self.0;
        Document {
            r#type: format!("/problems/{}", content.code),
            title: content.title,
            status: content.status.as_u16(),
            detail: content.detail.as_deref(),
            code: content.code,
            errors: &content.errors,
            request_id: request_id::current(),
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code: the last part of `type`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }
}

/// As the document that clients see, for answers that hold several.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings, numbers and lists only: writing them as JSON cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let content = *self.0;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = content.status;
        response.extensions_mut().insert(ProblemCode(content.code));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(content.headers);
        response
    }
}
