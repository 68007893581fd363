//! What is proved of the log, and the log itself for auditors.

use utoipa::openapi::{
    Content, ContentBuilder, HttpMethod, Ref, Required,
    example::ExampleBuilder,
    path::{Parameter, ParameterBuilder, ParameterIn},
};

use super::{
    audit_examples,
    components::{integer, parameter, text},
    endpoint::{Endpoint, endpoint},
};
use crate::{ConsistencyProof, ProblemCode::*};

const TAG: &str = "Audit";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![checkpoint(), tile(), proof(), consistency(), export()]
}

/// A text that is no JSON.
fn plain(example: &str) -> Content {
    ContentBuilder::new()
        .schema(Some(text().build()))
        .example(Some(example.into()))
        .build()
}

/// Bytes, with an example in hexadecimal, since JSON has no bytes.
fn bytes(name: &str, example: &str) -> Content {
    let example = ExampleBuilder::new()
        .summary("The bytes, here in hexadecimal.")
        .value(Some(example.into()))
        .build();
    ContentBuilder::new()
        .schema(Some(text().build()))
        .examples_from_iter([(name, example)])
        .build()
}

fn number(name: &str, description: &str, example: u64) -> Parameter {
    let schema = integer()
        .minimum(Some(0))
        .maximum(Some(i64::MAX as f64))
        .examples([example])
        .build();
    parameter(ParameterIn::Query, name, description, schema.into())
}

fn required(mut parameter: Parameter) -> Parameter {
    parameter.required = Required::True;
    parameter
}

fn checkpoint() -> Endpoint {
    endpoint(HttpMethod::Get, "/audit/checkpoint", TAG, "getCheckpoint", "Show the signed head of the log")
        .about(
            "A signed note (C2SP tlog-checkpoint): the origin, the number of events, the root of the Merkle tree over them, \
             and signatures, those of witnesses among them.",
        )
        .answer_of(
            200,
            "The checkpoint.",
            &[],
            Some(("text/plain; charset=utf-8", plain(audit_examples::CHECKPOINT))),
        )
        .problems(&[NotFound, Overloaded, Unavailable])
        .build()
}

fn tile() -> Endpoint {
    let path = ParameterBuilder::new()
        .name("path")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(
            "`<level>/<number>` or `entries/<number>`, with `.p/<width>` behind it for a tile that is not full. It has several \
             segments.",
        ))
        .schema(Some(text().examples(["0/000.p/1"]).build()))
        .build();
    endpoint(
        HttpMethod::Get,
        "/audit/tile/{path}",
        TAG,
        "getTile",
        "Show hashes of the tree",
    )
    .about(
        "A tile of the tree, or of its entries (C2SP tlog-tiles), if the last checkpoint covers it. It never changes, unless \
         a tree of another origin begins.",
    )
    .parameters(vec![path])
    .shared(&["If-Match", "If-None-Match"])
    .answer_of(
        200,
        "The hashes.",
        &["ETag"],
        Some(("application/octet-stream", bytes("tile", audit_examples::TILE))),
    )
    .nothing(304, "The tile is the one that `If-None-Match` names.", &["ETag"])
    .problems(&[NotFound, VersionMismatch, Overloaded, Unavailable])
    .build()
}

fn proof() -> Endpoint {
    endpoint(HttpMethod::Get, "/audit/proof", TAG, "getProof", "Prove that an event is in the log")
        .about(
            "A proof that anybody can check offline (C2SP tlog-proof). An event that has just been appended is waited for, 5 \
             seconds at most. With the id of the event it is a receipt: its line `extra` has what the log says of the event.",
        )
        .parameters(vec![
            required(number("position", "The position of the event.", 1)),
            parameter(
                ParameterIn::Query,
                "id",
                "The id of the event; another event at that position is `404`.",
                Ref::from_schema_name("Id").into(),
            ),
        ])
        .answer_of(
            200,
            "The proof.",
            &[],
            Some(("text/plain; charset=utf-8", plain(&audit_examples::proof()))),
        )
        .problems(&[NotFound, Overloaded, Unavailable])
        .build()
}

fn consistency() -> Endpoint {
    endpoint(
        HttpMethod::Get,
        "/audit/consistency",
        TAG,
        "getConsistency",
        "Prove that the log only grew between two sizes",
    )
    .parameters(vec![
        required(number("from", "The smaller size.", 0)),
        number(
            "to",
            "The larger size; when it is left out, that of the last checkpoint.",
            1,
        ),
    ])
    .answer(
        200,
        "The proof.",
        &[],
        &ConsistencyProof {
            from: 1,
            to: 2,
            consistency: vec!["UcnsiAfDnpQBqWOAfFNl2UK9E0Fgs9l7eBCy+x1GEUY=".to_owned()],
        },
    )
    .problems(&[NotFound, Overloaded, Unavailable])
    .build()
}

fn export() -> Endpoint {
    endpoint(HttpMethod::Get, "/audit/export", TAG, "exportEvents", "Export the log")
        .about(
            "Every event from one position up to another, one JSON object a line, for auditors. `docs/audit.md` says how to check \
             the lines against a checkpoint. Hashes of passwords and refresh tokens are withheld.",
        )
        .needs_role()
        .parameters(vec![
            number("from", "The first position.", 1),
            number("to", "The last position; when it is left out, the present end of the log.", 1),
        ])
        .answer_of(
            200,
            "The events.",
            &[],
            Some(("application/x-ndjson", plain(audit_examples::EXPORT))),
        )
        .problems(&[Overloaded, Unavailable])
        .build()
}
