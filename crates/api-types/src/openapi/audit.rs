//! What is proved of the log, and the log itself for auditors.

use serde_json::json;
use utoipa::openapi::{Content, ContentBuilder, example::ExampleBuilder};

use super::{
    audit_examples::{self, CHECKPOINT, EXPORT, TILE},
    components::text,
    endpoint::{Builder, CONDITIONS, endpoint},
    parameter::{Param, path, query},
};
use crate::{ConsistencyProof, ProblemCode::*};

const TAG: &str = "Audit";

pub(super) fn endpoints() -> Vec<Builder> {
    vec![
        endpoint("GET /audit/checkpoint", TAG)
            .named("getCheckpoint", "Show the signed head of the log")
            .about(
                "A signed note (C2SP tlog-checkpoint): the origin, the number of events, the root of the Merkle tree over \
                 them, and signatures, those of witnesses among them.",
            )
            .without_entity_tag(&[])
            .text("text/plain; charset=utf-8", "The checkpoint.", &[], CHECKPOINT)
            .problems(&[NotFound, Unavailable]),
        endpoint("GET /audit/tile/{path}", TAG)
            .named("getTile", "Show hashes of the tree")
            .about(
                "A tile of the tree, or of its entries (C2SP tlog-tiles), if the last checkpoint covers it. It never changes, \
                 unless a tree of another origin begins.",
            )
            .parameters([path(
                "path",
                "`<level>/<number>` or `entries/<number>`, with `.p/<width>` behind it for a tile that is not full. It has \
                 several segments.",
            )
            .example("0/000.p/1")])
            .shared(&CONDITIONS)
            .content("application/octet-stream", "The hashes.", &["ETag"], bytes("tile", TILE))
            .nothing(304, "The tile is the one that `If-None-Match` names.", &["ETag"])
            .problems(&[NotFound, VersionMismatch, Unavailable]),
        endpoint("GET /audit/proof", TAG)
            .named("getProof", "Prove that an event is in the log")
            .about(
                "A proof that anybody can check offline (C2SP tlog-proof). An event that has just been appended is waited \
                 for, 5 seconds at most. With the id of the event it is a receipt: its line `extra` has what the log says of \
                 the event.",
            )
            .parameters([
                number("position", "The position of the event.", 1).required(),
                query("id", "The id of the event; another event at that position is `404`.").of("Id"),
            ])
            .without_entity_tag(&[])
            .text("text/plain; charset=utf-8", "The proof.", &[], &audit_examples::proof())
            .problems(&[NotFound, Unavailable]),
        endpoint("GET /audit/consistency", TAG)
            .named("getConsistency", "Prove that the log only grew between two sizes")
            .parameters([
                number("from", "The smaller size.", 0).required(),
                number("to", "The larger size; when it is left out, that of the last checkpoint.", 1),
            ])
            .without_entity_tag(&[])
            .answer::<ConsistencyProof>(
                200,
                "The proof.",
                &[],
                json!({"from": 1, "to": 2, "consistency": ["UcnsiAfDnpQBqWOAfFNl2UK9E0Fgs9l7eBCy+x1GEUY="]}),
            )
            .problems(&[NotFound, Unavailable]),
        endpoint("GET /audit/export", TAG)
            .named("exportEvents", "Export the log")
            .about(
                "Every event from one position up to another, one JSON object a line, for auditors. `docs/audit.md` says how \
                 to check the lines against a checkpoint. Hashes of passwords and refresh tokens are withheld.",
            )
            .needs_role()
            .parameters([
                number("from", "The first position.", 1),
                number("to", "The last position; when it is left out, the present end of the log.", 1),
            ])
            .without_entity_tag(&[])
            .text("application/x-ndjson", "The events.", &[], EXPORT),
    ]
}

/// Bytes, with an example in hexadecimal, since JSON has no bytes.
fn bytes(name: &str, example: &str) -> Content {
    let example =
        ExampleBuilder::new().summary("The bytes, here in hexadecimal.").value(Some(example.into())).build();
    ContentBuilder::new().schema(Some(text().build())).examples_from_iter([(name, example)]).build()
}

/// A position or a size.
fn number(name: &str, about: &str, example: u64) -> Param {
    query(name, about).integer().min(0).max(i64::MAX as usize).example(example)
}
