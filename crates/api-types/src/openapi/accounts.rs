//! Accounts, and the sessions that people log in to.

use utoipa::openapi::HttpMethod;

use super::{
    account_examples,
    endpoint::{Builder, Endpoint, endpoint},
};
use crate::{NoFields, ProblemCode::*};

pub(super) const TAG: &str = "Accounts";
const TOKEN: [&str; 1] = ["Consistency-Token"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        register(),
        login(),
        refresh(),
        reset_password(),
        own(HttpMethod::Post, "/auth/logout", "logout", "End this session")
            .empty_body(&NoFields {})
            .nothing(204, "The session has ended.", &TOKEN)
            .build(),
        own(
            HttpMethod::Post,
            "/auth/logout-all",
            "logoutAll",
            "End every session",
        )
        .empty_body(&NoFields {})
        .nothing(204, "Every session of the caller has ended.", &TOKEN)
        .build(),
        own(HttpMethod::Get, "/auth/me", "getMe", "Show the caller's account")
            .answer(200, "The account.", &TOKEN, &account_examples::user_body())
            .build(),
        own(
            HttpMethod::Patch,
            "/auth/me",
            "changeMe",
            "Change the name to show",
        )
        .about("Absent keeps the name, `null` clears it.")
        .patch_body(&account_examples::rename())
        .answer(
            200,
            "The account after the change.",
            &TOKEN,
            &account_examples::user_body(),
        )
        .build(),
        own(HttpMethod::Delete, "/auth/me", "eraseMe", "Erase the caller")
            .about(
                "Ends every session, removes everything of the person from what can be read, and frees the address. Cannot be \
                 undone. An account with a second factor needs `code`, too. The last admin stays.",
            )
            .body(&account_examples::erase_me())
            .nothing(204, "The person is erased.", &["Consistency-Token", "Erasure-Receipt"])
            .problems(&[BadCredentials, LastAdmin, RateLimited, Overloaded])
            .build(),
        own(
            HttpMethod::Post,
            "/auth/me/password",
            "changePassword",
            "Change the password",
        )
        .about("Ends every other session.")
        .body(&account_examples::change_password())
        .nothing(204, "The new password is in force.", &TOKEN)
        .problems(&[BadCredentials, RateLimited, Overloaded])
        .build(),
        own(
            HttpMethod::Get,
            "/auth/sessions",
            "listSessions",
            "Show where the caller is logged in",
        )
        .answer(200, "The open sessions.", &TOKEN, &account_examples::sessions())
        .build(),
        own(
            HttpMethod::Delete,
            "/auth/sessions/{id}",
            "endSession",
            "End one session of the caller",
        )
        .shared(&["id"])
        .empty_body(&NoFields {})
        .nothing(204, "The session has ended.", &TOKEN)
        .build(),
    ]
}

fn register() -> Endpoint {
    endpoint(
        HttpMethod::Post,
        "/auth/register",
        TAG,
        "register",
        "Open an account",
    )
    .body(&account_examples::register())
    .answer(201, "The new account.", &TOKEN, &account_examples::user_body())
    .problems(&[EmailTaken, RateLimited, Overloaded, Unavailable])
    .build()
}

fn login() -> Endpoint {
    endpoint(HttpMethod::Post, "/auth/login", TAG, "login", "Log in")
        .about(
            "Begins a session. An unknown address and a wrong password have the same answer. After five failures in a row the \
             next attempt must wait, longer and longer.",
        )
        .body(&account_examples::login())
        .answer(200, "The tokens of the new session.", &TOKEN, &account_examples::tokens())
        .problems(&[BadCredentials, SecondFactorRequired, AccountDisabled, RateLimited, Overloaded, Unavailable])
        .build()
}

fn reset_password() -> Endpoint {
    endpoint(
        HttpMethod::Post,
        "/auth/reset",
        TAG,
        "resetPassword",
        "Set a new password with the token of a reset",
    )
    .about("An operator or an admin hands the token out. Ends every session; the second factor stays unless they said otherwise.")
    .body(&account_examples::reset_password())
    .nothing(204, "The new password is in force.", &TOKEN)
    .problems(&[TokenInvalid, TokenExpired, AccountDisabled, NotFound, Overloaded, Unavailable])
    .build()
}

fn refresh() -> Endpoint {
    endpoint(
        HttpMethod::Post,
        "/auth/refresh",
        TAG,
        "refresh",
        "Exchange a refresh token",
    )
    .about("Each refresh token works once. One that comes a second time ends its session.")
    .body(&account_examples::refresh())
    .answer(
        200,
        "The next tokens of the session.",
        &TOKEN,
        &account_examples::tokens(),
    )
    .problems(&[TokenInvalid, TokenExpired, SessionEnded, NotFound, Unavailable])
    .build()
}

/// About the caller's own account. Program tokens are refused.
pub(super) fn own(
    method: HttpMethod,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Builder {
    endpoint(method, path, TAG, id, summary)
        .needs_token()
        .problems(&[NotFound, Forbidden])
}
