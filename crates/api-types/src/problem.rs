//! Everything that can be wrong with a request, or with the service: the document (RFC 9457) and its codes.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// Why a request was not answered as wished: `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `/problems/` and the code. It is a name, not an address.
    #[schema(format = "uri-reference", pattern = "^/problems/[a-z-]+$")]
    pub r#type: String,
    /// What the code means, in a few words; the same for every problem of this code.
    #[schema(value_type = String)]
    pub title: Cow<'static, str>,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, in a sentence for the person who reads it. Only `internal` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub detail: Option<String>,
    /// A stable name of the problem, for programs.
    pub code: ProblemCode,
    /// With `validation-failed`: everything that is wrong with the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// With `second-factor-required`: what to send to `/auth/login/second-factor` together with a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub mfa_token: Option<String>,
    /// The id of the request, which leads to it in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = true, min_length = 1, max_length = 128)]
    pub request_id: Option<String>,
}

/// What is wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, for instance `/title`; empty for the body itself.
    pub pointer: String,
    /// A stable name of the mistake, for instance `too-long`.
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// A sentence for the person who reads it.
    pub detail: String,
}

impl FieldError {
    /// The field itself is wrong.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: String::new(), code: Cow::Borrowed(code), detail: detail.into() }
    }

    /// The value has another JSON type than `expected`, for instance "a string".
    pub fn wrong_type(expected: &str) -> Self {
        Self::new("wrong-type", format!("expected {expected}"))
    }

    /// The same mistake, in what is at `pointer`.
    #[must_use]
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), ..self }
    }
}

macro_rules! problem_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal, $code:literal, $title:literal;)+) => {
        /// A stable name of a problem, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl ProblemCode {
            /// Every code, in the order of the statuses.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name, for instance `not-found`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The status that it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// What it means, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What it means, in whole sentences: the `detail` of a problem that has none of its own.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim(),)+ }
            }
        }
    };
}

problem_codes! {
    // Also for rare statuses of their own.
    /// The request is not HTTP as it should be, for instance without a `Host`.
    BadRequest = 400, "bad-request", "The request is not acceptable";
    /// The body is not JSON, or ended too early.
    MalformedJson = 400, "malformed-json", "The body of the request is not JSON";
    /// Arrays and objects in the body are nested more than 32 deep.
    TooDeep = 400, "too-deep", "The body of the request is nested too deep";
    /// The body holds more than 10,000 values.
    TooManyValues = 400, "too-many-values", "The body of the request holds too many values";
    /// A query parameter or a header is unknown, repeated, or has a value that it cannot have.
    BadParameter = 400, "bad-parameter", "A parameter is not acceptable";
    /// The cursor is malformed, or of another query.
    BadCursor = 400, "bad-cursor", "The cursor is not one of this query";
    /// There is no access token.
    TokenMissing = 401, "token-missing", "Access token missing";
    /// The token is malformed, or was not issued here.
    TokenInvalid = 401, "token-invalid", "Token invalid";
    /// The token has expired.
    TokenExpired = 401, "token-expired", "Token expired";
    /// The session of the token has ended, or its refresh token was used before.
    SessionEnded = 401, "session-ended", "Session ended";
    /// The address, the password or the code is wrong.
    BadCredentials = 401, "bad-credentials", "Wrong credentials";
    /// The password is right, and a code of the second factor is missing. `mfa_token` goes with it.
    SecondFactorRequired = 401, "second-factor-required", "Second factor required";
    /// The account does not have the role that is needed.
    Forbidden = 403, "forbidden", "Forbidden";
    // Told only after the right password.
    /// The account was disabled by an admin.
    AccountDisabled = 403, "account-disabled", "Account disabled";
    /// It is not there, or it is someone else's.
    NotFound = 404, "not-found", "There is nothing here";
    /// The path does not have this method. `Allow` names those that it has.
    MethodNotAllowed = 405, "method-not-allowed", "This method is not allowed here";
    /// The request took too long to arrive.
    RequestTimeout = 408, "request-timeout", "The request took too long to arrive";
    /// An account with this address exists.
    EmailTaken = 409, "email-taken", "Address taken";
    /// The last admin cannot be disabled, nor lose the role.
    LastAdmin = 409, "last-admin", "Last admin";
    /// The account has a second factor already.
    SecondFactorExists = 409, "second-factor-exists", "There is a second factor already";
    /// The account has as many program tokens as it may have.
    TooManyTokens = 409, "too-many-tokens", "Too many tokens";
    /// The status of the task does not allow the change.
    IllegalTransition = 409, "illegal-transition", "The status of the task does not allow this";
    /// What is to be undone was changed again since, so that nothing of this task is undone.
    ChangedSince = 409, "changed-since", "The task was changed since";
    /// A precondition of the request does not hold. `ETag` names the version that there is.
    VersionMismatch = 412, "version-mismatch", "The condition of the request does not hold";
    /// The body is larger than the endpoint takes.
    BodyTooLarge = 413, "body-too-large", "The body of the request is too large";
    /// The path and the query are too long.
    UriTooLong = 414, "uri-too-long", "The address of the request is too long";
    /// The content type, or a coding of the body, is not accepted. `Accept-Post` or `Accept-Patch` name those that are.
    UnsupportedMediaType = 415, "unsupported-media-type", "This type of content is not accepted here";
    /// Some values in the body are not acceptable. `errors` lists all of them.
    ValidationFailed = 422, "validation-failed", "Some values are not acceptable";
    /// The idempotency key was used for another request.
    IdempotencyKeyReused = 422, "idempotency-key-reused", "The idempotency key was used for another request";
    /// The caller has used up what one person may have. `Retry-After` says when there is more.
    RateLimited = 429, "rate-limited", "Too many requests";
    /// The headers are too large, or too many.
    HeadersTooLarge = 431, "headers-too-large", "The headers of the request are too large";
    /// A mistake of the service. The id of the request leads to its trace in the logs.
    Internal = 500, "internal", "Something went wrong on our side";
    /// The transfer coding of the body is not known.
    UnknownTransferCoding = 501, "unknown-transfer-coding", "The transfer coding of the body is not known here";
    /// Something that the service depends on is down. `Retry-After` says when to try again.
    Unavailable = 503, "unavailable", "The service cannot answer right now";
    /// The service has too much to do. `Retry-After` says when to try again.
    Overloaded = 503, "overloaded", "The service has too much to do right now";
    /// The read models have not come as far as the `Consistency-Token`.
    ProjectionBehind = 503, "projection-behind", "The state asked for is not there yet";
}

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A stable name of a problem, for programs."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for ProblemCode {}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_slugs_in_the_order_of_their_statuses() {
        assert!(ProblemCode::ALL.is_sorted_by_key(|code| code.status()));
        for code in ProblemCode::ALL {
            assert_eq!(serde_json::json!(code), code.as_str());
            assert!(code.meaning().ends_with('.'), "{code}: {}", code.meaning());
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
        }
    }
}
