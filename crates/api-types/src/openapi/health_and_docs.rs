//! Health and the reference page, for whoever watches the service or writes a client.

use serde_json::{Value, json};
use utoipa::openapi::{Content, ContentBuilder, HttpMethod, Object, Schema, Type};

use super::{
    account_examples,
    endpoint::{Endpoint, endpoint},
};
use crate::{Liveness, LivenessStatus, ProblemCode::Unavailable, Readiness, ReadinessStatus};

const TAG: &str = "Operations";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let readiness = |status| Readiness { status };
    vec![
        endpoint(
            HttpMethod::Get,
            "/.well-known/jwks.json",
            TAG,
            "getKeys",
            "Show the public keys",
        )
        .about("Anyone can verify access tokens with them (RFC 7517).")
        .answer(200, "The keys, the newest first.", &[], &account_examples::jwks())
        .problems(&[Unavailable])
        .build(),
        endpoint(
            HttpMethod::Get,
            "/health/live",
            TAG,
            "getLiveness",
            "Ask whether the process answers",
        )
        .answer(
            200,
            "It does.",
            &[],
            &Liveness {
                status: LivenessStatus::Live,
            },
        )
        .build(),
        endpoint(
            HttpMethod::Get,
            "/health/ready",
            TAG,
            "getReadiness",
            "Ask whether the service can do its work",
        )
        .about("The answer is a second old at most. It gives no reasons; those are on the admin address.")
        .answer(200, "It can.", &[], &readiness(ReadinessStatus::Ready))
        .answer(
            503,
            "It cannot.",
            &["Retry-After"],
            &readiness(ReadinessStatus::Unavailable),
        )
        .build(),
        endpoint(
            HttpMethod::Get,
            "/openapi.json",
            TAG,
            "getOpenApi",
            "Show this document",
        )
        .answer_of(
            200,
            "OpenAPI 3.1.",
            &[],
            Some(("application/json", any(Type::Object, shortened_document()))),
        )
        .build(),
        endpoint(
            HttpMethod::Get,
            "/docs",
            TAG,
            "getDocs",
            "Show this document to people",
        )
        .about("A page without scripts that loads nothing.")
        .answer_of(
            200,
            "The reference.",
            &[],
            Some((
                "text/html; charset=utf-8",
                any(
                    Type::String,
                    "<!doctype html>\n<html lang=\"en\">…</html>\n".into(),
                ),
            )),
        )
        .build(),
    ]
}

fn any(kind: Type, example: Value) -> Content {
    ContentBuilder::new()
        .schema(Some(Schema::Object(Object::with_type(kind))))
        .example(Some(example))
        .build()
}

/// This document without its operations. All of it would have itself in it.
fn shortened_document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Taskledger", "version": env!("CARGO_PKG_VERSION")},
        "paths": {},
    })
}
