//! Health and the reference page, for whoever watches the service or writes a client.

use serde_json::json;
use utoipa::openapi::{ContentBuilder, Object, Schema, Type};

use super::endpoint::{Builder, endpoint};
use crate::{Jwks, Liveness, ProblemCode::Unavailable, Readiness};

const TAG: &str = "Operations";

pub(super) fn endpoints() -> Vec<Builder> {
    let keys = json!({"keys": [{
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "use": "sig",
        "alg": "EdDSA",
    }]});
    // This document without its operations. All of it would have itself in it.
    let document = ContentBuilder::new()
        .schema(Some(Schema::Object(Object::with_type(Type::Object))))
        .example(Some(json!({
            "openapi": "3.1.0",
            "info": {"title": "Taskledger", "version": env!("CARGO_PKG_VERSION")},
            "paths": {},
        })))
        .build();
    let page = "<!doctype html>\n<html lang=\"en\">…</html>\n";
    vec![
        endpoint("GET /.well-known/jwks.json", TAG)
            .named("getKeys", "Show the public keys")
            .about("Anyone can verify access tokens with them (RFC 7517).")
            .without_entity_tag(&[])
            .answer::<Jwks>(200, "The keys, the newest first.", &[], keys)
            .problems(&[Unavailable]),
        endpoint("GET /health/live", TAG)
            .named("getLiveness", "Ask whether the process answers")
            .answer::<Liveness>(200, "It does.", &[], json!({"status": "live"})),
        endpoint("GET /health/ready", TAG)
            .named("getReadiness", "Ask whether the service can do its work")
            .about("The answer is a second old at most. It gives no reasons; those are on the admin address.")
            .answer::<Readiness>(200, "It can.", &[], json!({"status": "ready"}))
            .answer::<Readiness>(503, "It cannot.", &["Retry-After"], json!({"status": "unavailable"})),
        endpoint("GET /openapi.json", TAG)
            .named("getOpenApi", "Show this document")
            .without_entity_tag(&[])
            .content("application/json", "OpenAPI 3.1.", &[], document),
        endpoint("GET /docs", TAG)
            .named("getDocs", "Show this document to people")
            .about("A page without scripts that loads nothing.")
            .without_entity_tag(&[])
            .text("text/html; charset=utf-8", "The reference.", &[], page),
    ]
}
