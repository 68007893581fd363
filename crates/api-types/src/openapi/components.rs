//! What many operations share: headers, parameters, examples of problems, and the way in.

use utoipa::{
    ToSchema,
    openapi::{
        Components, ComponentsBuilder, Header, HeaderBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr,
        Required, Schema, Type,
        example::ExampleBuilder,
        extensions::Extensions,
        path::{Parameter, ParameterBuilder, ParameterIn},
        security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::examples;
use crate::{FieldError, Problem, ProblemCode, stand_ins};

/// The name of the way in.
pub(super) const BEARER: &str = "bearer";

/// A schema and its name.
pub(super) type NamedSchema = (String, RefOr<Schema>);

/// Where a header, a parameter or an example is found.
pub(super) fn reference(kind: &str, name: &str) -> Ref {
    Ref::new(format!("#/components/{kind}/{name}"))
}

/// The schemas that every document has.
pub(super) fn schemas() -> Vec<NamedSchema> {
    let mut schemas = Vec::new();
    add::<Problem>(&mut schemas);
    add::<FieldError>(&mut schemas);
    add::<ProblemCode>(&mut schemas);
    add::<stand_ins::Id>(&mut schemas);
    add::<stand_ins::Instant>(&mut schemas);
    add::<stand_ins::Tag>(&mut schemas);
    add::<stand_ins::Due>(&mut schemas);
    add::<stand_ins::Status>(&mut schemas);
    add::<stand_ins::OperationOutcome>(&mut schemas);
    add::<stand_ins::Priority>(&mut schemas);
    add::<stand_ins::Role>(&mut schemas);
    add::<stand_ins::Scope>(&mut schemas);
    schemas
}

/// Adds the schema of `T` and of everything in it.
pub(super) fn add<T: ToSchema>(schemas: &mut Vec<NamedSchema>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// Everything but the schemas.
pub(super) fn components() -> Components {
    let mut components = ComponentsBuilder::new().security_scheme(BEARER, bearer());
    for (name, header) in headers() {
        components = components.header(name, header);
    }
    for parameter in parameters() {
        components = components.parameter(parameter.name.clone(), parameter);
    }
    for code in ProblemCode::ALL {
        let example = ExampleBuilder::new()
            .summary(code.title())
            .value(serde_json::to_value(examples::problem(*code)).ok())
            .build();
        components = components.example(code.as_str(), example);
    }
    components.build()
}

fn bearer() -> SecurityScheme {
    let bearer: Http = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("An access token, as `POST /auth/login` gives one."))
        .build();
    SecurityScheme::Http(bearer)
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

const ENTITY_TAG: &str = "^\"([0-9]+|[0-9A-Za-z_-]{22})\"$";
/// Entity tags between commas.
const ENTITY_TAGS: &str = "^(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*$";
const CONSISTENCY_TOKENS: &str =
    "^[0-9a-f]{8}([0-9a-f]{8})?-[0-9]{1,19}( *, *[0-9a-f]{8}([0-9a-f]{8})?-[0-9]{1,19})*$";
const CONSISTENCY_TOKEN: &str = "^[0-9a-f]{8}([0-9a-f]{8})?-[0-9]{1,19}$";

/// Response headers that are there whenever they are named.
fn headers() -> Vec<(&'static str, Header)> {
    let always = |name: &'static str, description: &'static str, schema: ObjectBuilder| {
        let required: Extensions = [("required", true)].into_iter().collect();
        (
            name,
            header(description, schema).extensions(Some(required)).build(),
        )
    };
    let sometimes = |name: &'static str, description: &'static str, schema: ObjectBuilder| {
        (name, header(description, schema).build())
    };
    vec![
        always(
            "X-Request-Id",
            "The id of the request: the client's own, or a new one.",
            text().min_length(Some(1)).max_length(Some(128)),
        ),
        always(
            "ETag",
            "The version of the task, or a hash of the page or tile, as a strong entity tag.",
            text().pattern(Some(ENTITY_TAG)),
        ),
        always(
            "Location",
            "Where the new task is.",
            text().format(Some(uri_reference())),
        ),
        sometimes(
            "Erasure-Receipt",
            "Where it is proved that the person was erased, for whoever is given this. It is not told again.",
            text().format(Some(uri_reference())),
        ),
        always(
            "Consistency-Token",
            "The state that the answer shows. Send it with a query to see at least that.",
            text().pattern(Some(CONSISTENCY_TOKEN)),
        ),
        always(
            "Retry-After",
            "Seconds after which to try again.",
            integer().minimum(Some(1)),
        ),
        always(
            "WWW-Authenticate",
            "How to authenticate (RFC 6750).",
            text().pattern(Some("^Bearer")),
        ),
        always("Accept-Post", "The content types that are accepted.", text()),
        always("Accept-Patch", "The content types that are accepted.", text()),
        always(
            "RateLimit-Policy",
            "What one person may have (draft-ietf-httpapi-ratelimit-headers-10).",
            text(),
        ),
        always(
            "RateLimit",
            "What is left of it, and for how many seconds.",
            text(),
        ),
        sometimes(
            "Link",
            "The next page, with `rel=\"next\"` (RFC 8288), when there is one, unless the link would be longer than 4 KiB.",
            text(),
        ),
        sometimes(
            "Preference-Applied",
            "The wait that was granted (RFC 7240), when one was asked for.",
            text().pattern(Some("^wait=([0-9]|10)$")),
        ),
    ]
}

fn header(description: &str, schema: ObjectBuilder) -> HeaderBuilder {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(Schema::Object(schema.build())))
}

fn uri_reference() -> utoipa::openapi::SchemaFormat {
    utoipa::openapi::SchemaFormat::Custom("uri-reference".to_owned())
}

/// `*`, or entity tags.
fn entity_tags() -> RefOr<Schema> {
    OneOfBuilder::new()
        .item(text().enum_values(Some(["*"])))
        .item(text().pattern(Some(ENTITY_TAGS)).examples(["\"3\""]))
        .into()
}

/// Parameters that several operations have.
fn parameters() -> Vec<Parameter> {
    fn header(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
        parameter(ParameterIn::Header, name, description, schema.into())
    }
    vec![
        ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("Which one."))
            .schema(Some(Ref::from_schema_name("Id")))
            .build(),
        header(
            "X-Request-Id",
            "A name for the request: 1 to 128 visible ASCII characters. Anything else is replaced.",
            text().examples(["my-request-7"]),
        ),
        header(
            "Idempotency-Key",
            "A name for the command: sent again with the same key and the same request, it has one effect and one \
             answer, for at least 24 hours.",
            text().pattern(Some("^[!-~]{1,255}$")).examples(["party-1"]),
        ),
        header(
            "If-Match",
            "Only if the task is at one of these versions (RFC 9110, section 13.1.1).",
            entity_tags(),
        ),
        header(
            "If-None-Match",
            "Only if the task is at none of these versions (RFC 9110, section 13.1.2).",
            entity_tags(),
        ),
        header(
            "Consistency-Token",
            "Show at least this state: one or more tokens of earlier answers.",
            text()
                .pattern(Some(CONSISTENCY_TOKENS))
                .examples(["d30d58070c2a51e3-5"]),
        ),
        header(
            "Prefer",
            "`wait=N`: wait up to N seconds for the state that `Consistency-Token` names; 2 when it is left out, at most \
             10 (RFC 7240).",
            text().examples(["wait=5"]),
        ),
    ]
}

/// A parameter that may be left out.
pub(super) fn parameter(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: RefOr<Schema>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
