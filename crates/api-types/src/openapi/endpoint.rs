//! One operation: what it takes, and every answer that it can give.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HttpMethod, Ref, RefOr, Required, Response, ResponseBuilder, Responses,
        path::{Operation, OperationBuilder, Parameter},
        request_body::RequestBodyBuilder,
        security::SecurityRequirement,
    },
};

use super::{
    components::{self, BEARER, NamedSchema, reference, text},
    examples::user,
    parameter::Param,
};
use crate::{
    NoFields,
    ProblemCode::{self, *},
    Task, UserBody,
};

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
    has_entity_tag: bool,
    can_be_repeated: bool,
}

/// What nearly every answer tells: the state that it shows.
pub(super) const TOKEN: [&str; 1] = ["Consistency-Token"];
/// The headers with conditions.
pub(super) const CONDITIONS: [&str; 2] = ["If-Match", "If-None-Match"];

/// Begins the description of an operation that anyone may call. The route is a method and a path, as in `GET /tasks`.
pub(super) fn endpoint(route: &'static str, tag: &'static str) -> Builder {
    let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
    let method = match method {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    };
    Builder {
        method,
        path,
        operation: OperationBuilder::new().tag(tag),
        answers: BTreeMap::new(),
        // What the HTTP layer refuses, and what can go wrong anywhere.
        problems: [BadRequest, BadParameter, UriTooLong, HeadersTooLarge, Internal, UnknownTransferCoding]
            .into(),
        schemas: Vec::new(),
        accepted: None,
        // What is made, or concerns several tasks, has no version yet, or none.
        has_entity_tag: route.starts_with("GET") || route.contains('{'),
        can_be_repeated: false,
    }
    .shared(&["X-Request-Id"])
}

impl Builder {
    /// The name of the operation for programs, and what it does in a few words.
    pub(super) fn named(mut self, id: &str, summary: &str) -> Self {
        self.operation = self.operation.operation_id(Some(id)).summary(Some(summary));
        self
    }

    pub(super) fn about(mut self, description: &str) -> Self {
        self.operation = self.operation.description(Some(description));
        self
    }

    /// Only for people who are logged in.
    pub(super) fn needs_token(mut self) -> Self {
        let no_scopes: [&str; 0] = [];
        self.operation = self.operation.security(SecurityRequirement::new(BEARER, no_scopes));
        self.problems(&[TokenMissing, TokenInvalid, TokenExpired, SessionEnded, Unavailable])
    }

    /// Only for people who are logged in and have a certain role.
    pub(super) fn needs_role(self) -> Self {
        self.needs_token().problems(&[Forbidden])
    }

    /// A command that is carried out once, however often it is sent with the same key.
    pub(super) fn idempotent(mut self) -> Self {
        self.can_be_repeated = true;
        self.shared(&["Idempotency-Key"])
    }

    /// What it is about has no entity tag. The conditions of the request are held all the same. A read tells `headers`
    /// when it is not answered because of them.
    pub(super) fn without_entity_tag(mut self, headers: &[&str]) -> Self {
        self.has_entity_tag = false;
        let held = self.shared(&CONDITIONS).problems(&[VersionMismatch]);
        match held.method {
            HttpMethod::Get => held.nothing(304, "There is an answer, and `If-None-Match` is `*`.", headers),
            _ => held,
        }
    }

    /// Parameters that several operations have.
    pub(super) fn shared(mut self, names: &[&str]) -> Self {
        for name in names {
            self.operation = self.operation.parameter_ref(reference("parameters", name));
        }
        self
    }

    pub(super) fn parameters(mut self, parameters: impl IntoIterator<Item = Param>) -> Self {
        for parameter in parameters {
            self.operation = self.operation.parameter(Parameter::from(parameter));
        }
        self
    }

    /// The body of a `POST` or `PUT`.
    pub(super) fn body<T: ToSchema>(self, example: Value) -> Self {
        self.any_body::<T>(&["application/json"], Required::True, "Accept-Post", &example)
    }

    /// A body of which nothing is required.
    pub(super) fn optional_body<T: ToSchema>(self, example: Value) -> Self {
        self.any_body::<T>(&["application/json"], Required::False, "Accept-Post", &example)
    }

    /// The body of a command that has nothing to say.
    pub(super) fn no_fields(self) -> Self {
        self.optional_body::<NoFields>(json!({}))
    }

    /// The body of a `PATCH`.
    pub(super) fn patch_body<T: ToSchema>(self, example: Value) -> Self {
        let types = ["application/merge-patch+json", "application/json"];
        self.any_body::<T>(&types, Required::True, "Accept-Patch", &example)
    }

    fn any_body<T: ToSchema>(
        mut self,
        types: &[&str],
        required: Required,
        accepted: &'static str,
        example: &Value,
    ) -> Self {
        let mut body = RequestBodyBuilder::new().required(Some(required));
        for media_type in types {
            body = body.content(*media_type, content::<T>(example.clone()));
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
    pub(super) fn answer<T: ToSchema>(
        mut self,
        status: u16,
        description: &str,
        headers: &[&str],
        example: Value,
    ) -> Self {
        components::add::<T>(&mut self.schemas);
        self.respond(status, description, headers, Some(("application/json", content::<T>(example))))
    }

    /// The caller's or another's account.
    pub(super) fn user(self, description: &str) -> Self {
        self.answer::<UserBody>(200, description, &TOKEN, json!({"user": user()}))
    }

    /// One task.
    pub(super) fn task(self, description: &str, example: Value) -> Self {
        self.answer::<Task>(200, description, &["ETag", "Consistency-Token"], example)
    }

    /// An answer without a body.
    pub(super) fn nothing(self, status: u16, description: &str, headers: &[&str]) -> Self {
        self.respond(status, description, headers, None)
    }

    /// An answer that is text, but no JSON.
    pub(super) fn text(self, media_type: &str, description: &str, headers: &[&str], example: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(text().build())).example(Some(example.into()));
        self.content(media_type, description, headers, content.build())
    }

    /// An answer of any kind.
    pub(super) fn content(
        self,
        media_type: &str,
        description: &str,
        headers: &[&str],
        content: Content,
    ) -> Self {
        self.respond(200, description, headers, Some((media_type, content)))
    }

    fn respond(
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
        // The gateway refuses what is too much. No rate limits probes.
        self.problems.insert(Overloaded);
        if !self.path.starts_with("/health/") {
            self.problems.insert(RateLimited);
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
                412 if self.has_entity_tag => name.push_str(".ETag"),
                415 => name.extend([".", self.accepted.unwrap_or_default()]),
                _ => {}
            }
            let response = RefOr::Ref(reference("responses", &name));
            responses.responses.insert(status.to_string(), response);
            shared.push((name, self.problem(status, &codes)));
        }
        for (status, mut response) in self.answers {
            if self.can_be_repeated {
                response = with_header(response, "Idempotency-Replayed");
            }
            responses.responses.insert(status.to_string(), RefOr::T(response.build()));
        }
        Endpoint {
            method: self.method,
            path: self.path,
            operation: self.operation.responses(responses).build(),
            schemas: self.schemas,
            responses: shared,
        }
    }

    /// The answer with one of these problems, which all have this status.
    fn problem(&self, status: u16, codes: &[ProblemCode]) -> Response {
        let headers: &[&str] = match (status, &self.accepted) {
            (401, _) => &["WWW-Authenticate"],
            (403, _) if codes.contains(&Forbidden) => &["WWW-Authenticate.Scope"],
            (412, _) if self.has_entity_tag => &["ETag"],
            (415, Some(accepted)) => &[accepted],
            (429, _) => &["Retry-After", "RateLimit", "RateLimit-Policy"],
            (503, _) => &["Retry-After"],
            _ => &[],
        };
        let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        let examples =
            codes.iter().map(|code| (code.as_str(), RefOr::Ref(reference("examples", code.as_str()))));
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .examples_from_iter(examples)
            .build();
        with_headers(ResponseBuilder::new().description(names.join(", ")), headers)
            .content("application/problem+json", content)
            .build()
    }
}

fn content<T: ToSchema>(example: Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name()))).example(Some(example)).build()
}

fn with_headers(response: ResponseBuilder, headers: &[&str]) -> ResponseBuilder {
    let all = ["X-Request-Id"].iter().chain(headers);
    all.fold(response, |response, name| with_header(response, name))
}

/// A header by the name of its description, where a dot ends the name of the header.
fn with_header(response: ResponseBuilder, name: &str) -> ResponseBuilder {
    let header = name.split('.').next().unwrap_or(name);
    response.header_ref(header, reference("headers", name))
}
