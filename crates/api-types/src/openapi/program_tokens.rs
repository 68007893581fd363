//! Tokens that people make for their programs.

use utoipa::openapi::HttpMethod;

use super::{account_examples, accounts::own, endpoint::Endpoint};
use crate::{NoFields, ProblemCode::*};

const TOKEN: [&str; 1] = ["Consistency-Token"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        own(
            HttpMethod::Get,
            "/auth/tokens",
            "listProgramTokens",
            "Show the tokens of the caller's programs",
        )
        .answer(200, "The tokens.", &TOKEN, &account_examples::program_tokens())
        .build(),
        own(
            HttpMethod::Post,
            "/auth/tokens",
            "createProgramToken",
            "Make a token for a program",
        )
        .about("The token is shown this once. It is good for what its scopes name, and for nothing under `/auth`.")
        .body(&account_examples::create_program_token())
        .answer(201, "The token.", &TOKEN, &account_examples::new_program_token())
        .problems(&[TooManyTokens])
        .build(),
        own(
            HttpMethod::Delete,
            "/auth/tokens",
            "revokeProgramTokens",
            "Take all tokens back from the caller's programs",
        )
        .empty_body(&NoFields {})
        .nothing(204, "The tokens are refused from now on.", &TOKEN)
        .build(),
        own(
            HttpMethod::Delete,
            "/auth/tokens/{id}",
            "revokeProgramToken",
            "Take a token back",
        )
        .shared(&["id"])
        .empty_body(&NoFields {})
        .nothing(204, "The token is refused from now on.", &TOKEN)
        .build(),
    ]
}
