//! Health and the reference page, for whoever watches the service or writes a client.

use utoipa::openapi::{Content, HttpMethod, Object, Schema, Type};

use super::{
    account_examples,
    endpoint::{Endpoint, endpoint},
};
use crate::{Liveness, LivenessStatus, ProblemCode::Unavailable, Readiness, ReadinessStatus};

const TAG: &str = "Operations";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let readiness = |status| Readiness { status };
    let any = |kind| Content::new(Some(Schema::Object(Object::with_type(kind))));
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
        .answer(503, "It cannot.", &[], &readiness(ReadinessStatus::Unavailable))
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
            Some(("application/json", any(Type::Object))),
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
            Some(("text/html; charset=utf-8", any(Type::String))),
        )
        .build(),
    ]
}
