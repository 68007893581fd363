//! One operation: what it takes, and every answer that it can give.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HttpMethod, Ref, RefOr, Required, Response, ResponseBuilder, Responses,
        path::{Operation, OperationBuilder, Parameter},
        request_body::RequestBodyBuilder,
        security::SecurityRequirement,
    },
};

use super::components::{self, BEARER, NamedSchema, reference};
use crate::ProblemCode::{self, *};

/// An operation that is complete, and what it uses.
pub(super) struct Endpoint {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    pub(super) schemas: Vec<NamedSchema>,
    /// The answers that other operations may have as well.
    pub(super) responses: Vec<(String, Response)>,
}

/// An operation being described.
pub(super) struct Builder {
    method: HttpMethod,
    path: &'static str,
    operation: OperationBuilder,
    answers: BTreeMap<u16, ResponseBuilder>,
    problems: BTreeSet<ProblemCode>,
    schemas: Vec<NamedSchema>,
    accepted: Option<&'static str>,
}

/// Begins the description of an operation that anyone may call.
pub(super) fn endpoint(
    method: HttpMethod,
    path: &'static str,
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Builder {
    Builder {
        method,
        path,
        operation: OperationBuilder::new()
            .tag(tag)
            .operation_id(Some(id))
            .summary(Some(summary)),
        answers: BTreeMap::new(),
        // What the HTTP layer refuses, and what can go wrong anywhere.
        problems: [
            BadRequest,
            BadParameter,
            UriTooLong,
            HeadersTooLarge,
            Internal,
            UnknownTransferCoding,
        ]
        .into(),
        schemas: Vec::new(),
        accepted: None,
    }
    .shared(&["X-Request-Id"])
}

impl Builder {
    pub(super) fn about(mut self, description: &str) -> Self {
        self.operation = self.operation.description(Some(description));
        self
    }

    /// Only for people who are logged in.
    pub(super) fn needs_token(mut self) -> Self {
        let no_scopes: [&str; 0] = [];
        self.operation = self
            .operation
            .security(SecurityRequirement::new(BEARER, no_scopes));
        self.problems(&[
            TokenMissing,
            TokenInvalid,
            TokenExpired,
            SessionEnded,
            Unavailable,
        ])
    }

    /// Only for people who are logged in and have a certain role.
    pub(super) fn needs_role(self) -> Self {
        self.needs_token().problems(&[Forbidden])
    }

    /// Parameters that several operations have.
    pub(super) fn shared(mut self, names: &[&str]) -> Self {
        for name in names {
            self.operation = self.operation.parameter_ref(reference("parameters", name));
        }
        self
    }

    pub(super) fn parameters(mut self, parameters: Vec<Parameter>) -> Self {
        for parameter in parameters {
            self.operation = self.operation.parameter(parameter);
        }
        self
    }

    /// The body of a `POST` or `PUT`.
    pub(super) fn body<T: ToSchema + Serialize>(self, example: &T) -> Self {
        self.any_body(&["application/json"], Required::True, "Accept-Post", example)
    }

    /// The body of a `POST` that has nothing to say.
    pub(super) fn empty_body<T: ToSchema + Serialize>(self, example: &T) -> Self {
        self.any_body(&["application/json"], Required::False, "Accept-Post", example)
    }

    /// The body of a `PATCH`.
    pub(super) fn patch_body<T: ToSchema + Serialize>(self, example: &T) -> Self {
        let types = ["application/merge-patch+json", "application/json"];
        self.any_body(&types, Required::True, "Accept-Patch", example)
    }

    fn any_body<T: ToSchema + Serialize>(
        mut self,
        types: &[&str],
        required: Required,
        accepted: &'static str,
        example: &T,
    ) -> Self {
        let mut body = RequestBodyBuilder::new().required(Some(required));
        for media_type in types {
            body = body.content(*media_type, content(example));
        }
        self.operation = self.operation.request_body(Some(body.build()));
        self.accepted = Some(accepted);
        components::add::<T>(&mut self.schemas);
        self.problems(&[
            MalformedJson,
            TooDeep,
            TooManyValues,
            RequestTimeout,
            BodyTooLarge,
            UnsupportedMediaType,
            ValidationFailed,
        ])
    }

    /// An answer with a JSON body.
    pub(super) fn answer<T: ToSchema + Serialize>(
        mut self,
        status: u16,
        description: &str,
        headers: &[&str],
        example: &T,
    ) -> Self {
        components::add::<T>(&mut self.schemas);
        self.answer_of(
            status,
            description,
            headers,
            Some(("application/json", content(example))),
        )
    }

    /// An answer without a body.
    pub(super) fn nothing(self, status: u16, description: &str, headers: &[&str]) -> Self {
        self.answer_of(status, description, headers, None)
    }

    /// An answer with any body.
    pub(super) fn answer_of(
        mut self,
        status: u16,
        description: &str,
        headers: &[&str],
        body: Option<(&str, Content)>,
    ) -> Self {
        let mut response = with_headers(ResponseBuilder::new().description(description), headers);
        if let Some((media_type, content)) = body {
            response = response.content(media_type, content);
        }
        self.answers.insert(status, response);
        self
    }

    /// What else can be wrong.
    pub(super) fn problems(mut self, codes: &[ProblemCode]) -> Self {
        self.problems.extend(codes);
        self
    }

    pub(super) fn build(mut self) -> Endpoint {
        let is_probe = self.path.starts_with("/health/");
        if !is_probe {
            // The gateway counts everything else, and refuses what is too much.
            self.problems.extend([RateLimited, Overloaded]);
        }
        let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
        for code in std::mem::take(&mut self.problems) {
            by_status.entry(code.status()).or_default().push(code);
        }
        let mut shared = Vec::new();
        let mut responses = Responses::new();
        for (status, codes) in by_status {
            let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
            let mut name = names.join(".");
            // The headers of these differ among endpoints.
            match status {
                412 if self.has_entity_tag() => name.push_str(".ETag"),
                415 => name.extend([".", self.accepted.unwrap_or_default()]),
                _ => {}
            }
            let response = RefOr::Ref(reference("responses", &name));
            responses.responses.insert(status.to_string(), response);
            shared.push((name, self.problem(status, &codes)));
        }
        for (status, response) in self.answers {
            responses
                .responses
                .insert(status.to_string(), RefOr::T(response.build()));
        }
        Endpoint {
            method: self.method,
            path: self.path,
            operation: self.operation.responses(responses).build(),
            schemas: self.schemas,
            responses: shared,
        }
    }

    /// Whether there is an entity tag: what is made, or concerns several tasks, has no version yet, or none.
    fn has_entity_tag(&self) -> bool {
        !matches!(self.method, HttpMethod::Post) || self.path.contains('{')
    }

    /// The answer with one of these problems, which all have this status.
    fn problem(&self, status: u16, codes: &[ProblemCode]) -> Response {
        let headers: &[&str] = match (status, &self.accepted) {
            (401, _) => &["WWW-Authenticate"],
            (412, _) if self.has_entity_tag() => &["ETag"],
            (415, Some(accepted)) => &[accepted],
            (429, _) => &["Retry-After", "RateLimit", "RateLimit-Policy"],
            (503, _) => &["Retry-After"],
            _ => &[],
        };
        let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        let examples = codes
            .iter()
            .map(|code| (code.as_str(), RefOr::Ref(reference("examples", code.as_str()))));
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .examples_from_iter(examples)
            .build();
        with_headers(ResponseBuilder::new().description(names.join(", ")), headers)
            .content("application/problem+json", content)
            .build()
    }
}

fn content<T: ToSchema + Serialize>(example: &T) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .example(serde_json::to_value(example).ok())
        .build()
}

fn with_headers(response: ResponseBuilder, headers: &[&str]) -> ResponseBuilder {
    let all = ["X-Request-Id"].iter().chain(headers);
    all.fold(response, |response, name| {
        response.header_ref(*name, reference("headers", name))
    })
}
