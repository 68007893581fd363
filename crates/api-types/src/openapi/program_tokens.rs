//! Tokens that people make for their programs.

use serde_json::json;

use super::{
    accounts::own,
    endpoint::{Builder, TOKEN},
    examples::{CREATED, HOUR_LATER},
};
use crate::{CreateProgramToken, NewProgramToken, ProblemCode::*, ProgramTokens};

pub(super) fn endpoints() -> Vec<Builder> {
    let expires_at = "2027-02-20T20:30:50.417526Z";
    let mut used = json!({
        "id": "01a204f4-51f3-7d32-9c1a-4c1de3a5b1f1",
        "name": "Backup",
        "scopes": ["tasks:read"],
        "created_at": CREATED,
        "expires_at": expires_at,
        "last_used_at": null,
    });
    let mut new = used.clone();
    new["token"] = "taskledger_pat_AaIE9FHRdPG6g1eyteS9TQGiBPRR".into();
    used["last_used_at"] = HOUR_LATER.into();
    vec![
        own("GET /auth/tokens")
            .named("listProgramTokens", "Show the tokens of the caller's programs")
            .answer::<ProgramTokens>(200, "The tokens.", &TOKEN, json!({"items": [used]})),
        own("POST /auth/tokens")
            .named("createProgramToken", "Make a token for a program")
            .about("The token is shown this once. It is good for what its scopes name, and for nothing under `/auth`.")
            .body::<CreateProgramToken>(json!({
                "name": "Backup",
                "scopes": ["tasks:read"],
                "expires_at": expires_at,
            }))
            .answer::<NewProgramToken>(201, "The token.", &TOKEN, new)
            .problems(&[TooManyTokens]),
        own("DELETE /auth/tokens")
            .named("revokeProgramTokens", "Take all tokens back from the caller's programs")
            .no_fields()
            .nothing(204, "The tokens are refused from now on.", &TOKEN),
        own("DELETE /auth/tokens/{id}")
            .named("revokeProgramToken", "Take a token back")
            .shared(&["id"])
            .no_fields()
            .nothing(204, "The token is refused from now on.", &TOKEN),
    ]
}
