//! The extractor for bodies: one JSON object of bounded size and depth, or a problem with the reason.

use api_types::{FieldError, ProblemCode};
use axum::{
    body::{Body, HttpBody},
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::BodyExt;
use http_server::{BodyOverloaded, BodyStalled};
use serde_json::{Map, Value};

use crate::{
    form::{FieldErrors, Form, pointer_to},
    headers::members,
    json_value::{self, MAX_VALUES, ReadError},
    problem::Problem,
    untagged_conditions::refuse_failed,
};

/// The largest body in bytes. Another one can be set for a route with `axum::Extension(BodyLimit(n))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(64 * 1024)
    }
}

static ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
static ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// A body that is one JSON object.
#[derive(Debug, Clone)]
pub struct JsonObject {
    /// The members of the object.
    pub fields: Map<String, Value>,
}

impl JsonObject {
    /// Reads the field `name` of an object that has no other.
    ///
    /// # Errors
    /// As [`Form::finish_with`].
    pub fn only<T, E: Into<FieldErrors>>(
        self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Result<T, Problem> {
        let mut form = Form::new(self.fields);
        let value = form.required(name, read);
        form.finish_with(value)
    }
}

/// A body that was received and whose JSON was not read yet. What is read of it takes many times the memory of its
/// bytes, so a large one is read in its turn only.
#[derive(Debug, Clone)]
pub struct ReceivedJson(Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        ReceivedJson::from_request(request, state).await?.read()
    }
}

impl<S: Send + Sync> FromRequest<S> for ReceivedJson {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        refuse_failed(&parts.extensions)?;
        if body.size_hint().exact() == Some(0) {
            return Err(malformed("the body is empty; send a JSON object"));
        }
        check_type(&parts.method, &parts.headers)?;
        let limit = parts.extensions.get::<BodyLimit>().copied().unwrap_or_default();
        let bytes = read_body(body, limit).await?;
        if bytes.is_empty() {
            return Err(malformed("the body is empty; send a JSON object"));
        }
        Ok(Self(bytes))
    }
}

impl ReceivedJson {
    /// Reads the object.
    ///
    /// # Errors
    /// `400` or `422` for what is not one JSON object.
    pub fn read(self) -> Result<JsonObject, Problem> {
        match json_value::read(&self.0) {
            Ok(Value::Object(fields)) => Ok(JsonObject { fields }),
            Ok(_) => Err(Problem::validation(vec![FieldError::wrong_type("a JSON object")])),
            Err(ReadError::TooDeep) => {
                Err(Problem::new(ProblemCode::TooDeep).detail("arrays and objects may be nested 32 deep"))
            }
            Err(ReadError::TooMany) => Err(Problem::new(ProblemCode::TooManyValues)
                .detail(format!("at most {MAX_VALUES} values may be in it, at any depth"))),
            Err(ReadError::ByteOrderMark) => {
                Err(malformed("it begins with a byte order mark (U+FEFF); send the JSON without it"))
            }
            Err(ReadError::OutOfRange(path)) => {
                let pointer: String = path.iter().map(|name| pointer_to(name)).collect();
                let error = FieldError::new("wrong-type", "no field takes a number as large as this one");
                Err(Problem::validation(vec![error.at(pointer)]))
            }
            Err(ReadError::Malformed(error)) => Err(malformed(error.to_string())),
        }
    }
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::MalformedJson).detail(detail)
}

/// The most bytes that are reserved for a body before any of it has arrived.
const FIRST_PART: usize = 8 * 1024;

/// The body, when it is no longer than `limit`; whatever `Content-Length` says.
///
/// # Errors
/// `413` for one that is longer, `408` for one that stalls, `400` for one that ends early.
pub async fn read_body(mut body: Body, BodyLimit(limit): BodyLimit) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(ProblemCode::BodyTooLarge).detail(format!("at most {limit} bytes are accepted"));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    // Not more than has arrived: a client that announces a large body and sends little must cost little.
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
    let mut read = BytesMut::with_capacity(expected.min(FIRST_PART));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(too_large());
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// The problem for a body that broke off.
fn unreadable(error: &axum::Error) -> Problem {
    if BodyStalled::caused(error) {
        Problem::request_timeout()
    } else if BodyOverloaded::caused(error) {
        Problem::overloaded("there is too much to do to receive the body; nothing was done")
    } else {
        Problem::incomplete_body()
    }
}

fn check_type(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let patch = method == Method::PATCH;
    let accepted = match patch {
        true => "application/merge-patch+json, application/json",
        false => "application/json",
    };
    let unsupported = |detail: String| {
        let name = if patch { &ACCEPT_PATCH } else { &ACCEPT_POST };
        Problem::new(ProblemCode::UnsupportedMediaType)
            .detail(detail)
            .header(name.clone(), HeaderValue::from_static(accepted))
    };
    let is_encoded = |coding: &str| !coding.eq_ignore_ascii_case("identity");
    if members(headers, &header::CONTENT_ENCODING).any(is_encoded) {
        return Err(unsupported("compressed bodies are not accepted".to_owned())
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let expected = || unsupported(format!("send it with Content-Type: {}", accepted.replace(", ", " or ")));
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return Err(expected());
    };
    let value = value.to_str().map_err(|_| expected())?;
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let essence = essence.trim();
    let known = accepted.split(", ").any(|name| name.eq_ignore_ascii_case(essence));
    if known && is_utf8(parameters) { Ok(()) } else { Err(expected()) }
}

/// Whether the parameters of a media type leave the text UTF-8, the only encoding of JSON.
fn is_utf8(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}
