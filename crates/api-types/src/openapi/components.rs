//! What many operations share: headers, parameters, examples of problems, and the way in.

use utoipa::{
    ToSchema,
    openapi::{
        Components, ComponentsBuilder, Header, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type,
        example::ExampleBuilder,
        path::Parameter,
        security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    examples,
    parameter::{Param, header, path},
};
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
    for header in headers() {
        components = components.header(header.name.clone(), Header::from(header));
    }
    for parameter in parameters() {
        components = components.parameter(parameter.name.clone(), Parameter::from(parameter));
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
        .description(Some(
            "An access token, as `POST /auth/login` gives one. For tasks and the audit trail also a token of a program, \
             as `POST /auth/tokens` gives one, within its scopes.",
        ))
        .build();
    SecurityScheme::Http(bearer)
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

const ENTITY_TAG: &str = "^\"([0-9]+|[0-9A-Za-z_-]{22})\"$";
/// Entity tags between commas.
const ENTITY_TAGS: &str = "^(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*$";
const CONSISTENCY_TOKENS: &str =
    "^[0-9a-f]{8}([0-9a-f]{8})?-[0-9]{1,19}( *, *[0-9a-f]{8}([0-9a-f]{8})?-[0-9]{1,19})*$";
const CONSISTENCY_TOKEN: &str = "^[0-9a-f]{8}([0-9a-f]{8})?-[0-9]{1,19}$";

/// Response headers. Those that are required are there whenever they are named.
fn headers() -> Vec<Param> {
    vec![
        header("X-Request-Id", "The id of the request: the client's own, or a new one.")
            .min(1)
            .max(128)
            .required(),
        header("ETag", "The version of the task, or a hash of the page or tile, as a strong entity tag.")
            .pattern(ENTITY_TAG)
            .required(),
        header("Location", "Where the new task is.").format("uri-reference").required(),
        header(
            "Erasure-Receipt",
            "Where it is proved that the person was erased, for whoever is given this. It is not told again.",
        )
        .format("uri-reference"),
        header(
            "Consistency-Token",
            "The state that the answer shows. Send it with a query to see at least that.",
        )
        .pattern(CONSISTENCY_TOKEN)
        .required(),
        header("Retry-After", "Seconds after which to try again.").integer().min(1).required(),
        header("WWW-Authenticate", "How to authenticate (RFC 6750).").pattern("^Bearer").required(),
        header(
            "WWW-Authenticate.Scope",
            "The scope that the token of a program lacks (RFC 6750, section 3.1), when that is why.",
        )
        .pattern("^Bearer error=\"insufficient_scope\"")
        .example("Bearer error=\"insufficient_scope\", scope=\"tasks:write\""),
        header("Idempotency-Replayed", "The command was carried out before, and this is its answer again.")
            .one_of(&["true"]),
        header("Accept-Post", "The content types that are accepted.").required(),
        header("Accept-Patch", "The content types that are accepted.").required(),
        header("RateLimit-Policy", "What one person may have (draft-ietf-httpapi-ratelimit-headers-10).")
            .required(),
        header("RateLimit", "What is left of it, and for how many seconds.").required(),
        header(
            "Link",
            "The next page, with `rel=\"next\"` (RFC 8288), when there is one, unless the link would be longer than \
             4 KiB.",
        ),
        header("Preference-Applied", "The wait that was granted (RFC 7240), when one was asked for.")
            .pattern("^wait=([0-9]|10)$"),
    ]
}

/// `*`, or entity tags.
fn entity_tags() -> RefOr<Schema> {
    OneOfBuilder::new()
        .item(text().enum_values(Some(["*"])))
        .item(text().pattern(Some(ENTITY_TAGS)).examples(["\"3\""]))
        .into()
}

/// Parameters that several operations have.
fn parameters() -> Vec<Param> {
    vec![
        path("id", "Which one.").of("Id"),
        header(
            "X-Request-Id",
            "A name for the request: 1 to 128 visible ASCII characters. Anything else is replaced.",
        )
        .example("my-request-7"),
        header(
            "Idempotency-Key",
            "A name for the command: sent again with the same key and the same request, it has one effect and one \
             answer, for at least 24 hours.",
        )
        .pattern("^[!-~]{1,255}$")
        .example("party-1"),
        header(
            "If-Match",
            "Only if the task is at one of these versions (RFC 9110, section 13.1.1). What has no version matches `*` \
             only.",
        )
        .like(entity_tags()),
        header(
            "If-None-Match",
            "Only if the task is at none of these versions (RFC 9110, section 13.1.2). What has no version matches `*` \
             only.",
        )
        .like(entity_tags()),
        header(
            "Consistency-Token",
            "Show at least this state: one or more tokens of earlier answers.",
        )
        .pattern(CONSISTENCY_TOKENS)
        .example("d30d58070c2a51e3-5"),
        header(
            "Prefer",
            "`wait=N`: wait up to N seconds for the state that `Consistency-Token` names; 2 when it is left out, at most \
             10 (RFC 7240).",
        )
        .example("wait=5"),
    ]
}
