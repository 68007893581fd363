//! The OpenAPI 3.1 document of everything that the gateway serves.

mod accounts;
mod admin;
mod audit;
mod audit_examples;
mod audit_trail;
mod commands;
mod components;
mod endpoint;
mod examples;
mod health_and_docs;
mod parameter;
mod program_tokens;
mod queries;
mod second_factor;

use utoipa::openapi::{
    Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder,
    tag::{Tag, TagBuilder},
};

use self::endpoint::{Builder, Endpoint};

/// What the document is divided into.
const TAGS: [(&str, &str); 5] = [
    ("Tasks", "Tasks of the caller. Nobody sees those of others."),
    ("Accounts", "Accounts, and the sessions that people log in to."),
    ("Administration", "Accounts of others, for those with the role `admin`."),
    (
        "Audit",
        "What happened, and proofs that nothing in the log was changed, in the formats of C2SP: see `docs/audit.md`.",
    ),
    ("Operations", "For whoever watches the service, or writes a client."),
];

const ABOUT: &str = "A task-management backend that never forgets how it got where it is. \
     JSON in, JSON out, UTF-8; instants are RFC 3339 in UTC; ids are UUIDs of version 7. \
     Errors are problems (RFC 9457). `docs/api.md` in the repository says in words what this document says to programs.";

/// The document.
pub fn document() -> OpenApi {
    let mut components = components::components();
    let mut schemas = components::schemas();
    let mut paths = PathsBuilder::new();
    for Endpoint { method, path, operation, schemas: used, responses } in endpoints().map(Builder::build) {
        paths = paths.path(path, PathItem::new(method, operation));
        schemas.extend(used);
        let responses = responses.into_iter();
        components.responses.extend(responses.map(|(name, response)| (name, response.into())));
    }
    components.schemas = schemas.into_iter().collect();
    OpenApiBuilder::new()
        .info(info())
        .paths(paths.build())
        .components(Some(components))
        .tags(Some(tags()))
        .build()
}

/// The document as text, the same for the same code.
pub fn text() -> String {
    // Strings, numbers and maps with text keys only: writing them as JSON cannot fail.
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The method in capitals and the path of every operation.
pub fn operations() -> Vec<(String, String)> {
    let document = serde_json::to_value(document()).unwrap_or_default();
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flat_map(serde_json::Map::keys);
            methods.map(move |method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect()
}

fn endpoints() -> impl Iterator<Item = Builder> {
    [
        queries::endpoints(),
        commands::endpoints(),
        accounts::endpoints(),
        second_factor::endpoints(),
        program_tokens::endpoints(),
        admin::endpoints(),
        audit::endpoints(),
        audit_trail::endpoints(),
        health_and_docs::endpoints(),
    ]
    .into_iter()
    .flatten()
}

fn info() -> Info {
    let mut license = LicenseBuilder::new().name("MIT OR Apache-2.0").build();
    license.identifier = Some("MIT OR Apache-2.0".to_owned());
    InfoBuilder::new()
        .title("Taskledger")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build()
}

fn tags() -> Vec<Tag> {
    let tag = |(name, description)| TagBuilder::new().name(name).description(Some(description)).build();
    TAGS.into_iter().map(tag).collect()
}
