//! Accounts, and the sessions that people log in to.

use serde_json::json;

use super::{
    endpoint::{Builder, TOKEN, endpoint},
    examples::{CREATED, EMAIL, NEW_PASSWORD, PASSWORD, REFRESH_TOKEN, RESET_TOKEN, tokens, user},
};
use crate::{
    ChangePassword, EraseMe, Login, ProblemCode::*, Refresh, Register, Rename, ResetPassword, Sessions,
    Tokens, UserBody,
};

pub(super) const TAG: &str = "Accounts";

pub(super) fn endpoints() -> Vec<Builder> {
    vec![
        endpoint("POST /auth/register", TAG)
            .named("register", "Open an account")
            .without_entity_tag(&TOKEN)
            .body::<Register>(json!({"email": EMAIL, "password": PASSWORD, "display_name": "Ada"}))
            .answer::<UserBody>(201, "The new account.", &TOKEN, json!({"user": user()}))
            .problems(&[EmailTaken, Unavailable]),
        endpoint("POST /auth/login", TAG)
            .named("login", "Log in")
            .without_entity_tag(&TOKEN)
            .about(
                "Begins a session. An unknown address and a wrong password have the same answer. After five failures in a \
                 row the next attempt must wait, longer and longer.",
            )
            .body::<Login>(json!({"email": EMAIL, "password": PASSWORD}))
            .answer::<Tokens>(200, "The tokens of the new session.", &TOKEN, tokens())
            .problems(&[BadCredentials, SecondFactorRequired, AccountDisabled, Unavailable]),
        endpoint("POST /auth/refresh", TAG)
            .named("refresh", "Exchange a refresh token")
            .without_entity_tag(&TOKEN)
            .about("Each refresh token works once. One that comes a second time ends its session.")
            .body::<Refresh>(json!({"refresh_token": REFRESH_TOKEN}))
            .answer::<Tokens>(200, "The next tokens of the session.", &TOKEN, tokens())
            .problems(&[TokenInvalid, TokenExpired, SessionEnded, NotFound, Unavailable]),
        endpoint("POST /auth/reset", TAG)
            .named("resetPassword", "Set a new password with the token of a reset")
            .without_entity_tag(&TOKEN)
            .about(
                "An operator or an admin hands the token out. Ends every session; the second factor stays unless they \
                 said otherwise.",
            )
            .body::<ResetPassword>(json!({"reset_token": RESET_TOKEN, "new_password": NEW_PASSWORD}))
            .nothing(204, "The new password is in force.", &TOKEN)
            .problems(&[TokenInvalid, TokenExpired, AccountDisabled, NotFound, Unavailable]),
        own("POST /auth/logout")
            .named("logout", "End this session")
            .no_fields()
            .nothing(204, "The session has ended.", &TOKEN),
        own("POST /auth/logout-all")
            .named("logoutAll", "End every session")
            .no_fields()
            .nothing(204, "Every session of the caller has ended.", &TOKEN),
        own("GET /auth/me")
            .named("getMe", "Show the caller's account")
            .user("The account."),
        own("PATCH /auth/me")
            .named("changeMe", "Change the name to show")
            .about("Absent keeps the name, `null` clears it.")
            .patch_body::<Rename>(json!({"display_name": "Ada L."}))
            .user("The account after the change."),
        own("DELETE /auth/me")
            .named("eraseMe", "Erase the caller")
            .about(
                "Ends every session, removes everything of the person from what can be read, and frees the address. \
                 Cannot be undone. An account with a second factor needs `code`, too. The last admin stays.",
            )
            .body::<EraseMe>(json!({"password": PASSWORD}))
            .nothing(204, "The person is erased.", &["Consistency-Token", "Erasure-Receipt"])
            .problems(&[BadCredentials, LastAdmin]),
        own("POST /auth/me/password")
            .named("changePassword", "Change the password")
            .about("Ends every other session.")
            .body::<ChangePassword>(json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD}))
            .nothing(204, "The new password is in force.", &TOKEN)
            .problems(&[BadCredentials]),
        own("GET /auth/sessions")
            .named("listSessions", "Show where the caller is logged in")
            .answer::<Sessions>(200, "The open sessions.", &TOKEN, json!({"items": [{
                "id": "01a204f4-51f3-7d32-9c1a-4c1de3a5b1f0",
                "started_at": CREATED,
                "last_refreshed_at": CREATED,
                "expires_at": "2026-11-29T20:30:50.417526Z",
                "ip": "192.0.2.7",
                "user_agent": "curl/8.5.0",
                "current": true,
            }]})),
        own("DELETE /auth/sessions/{id}")
            .named("endSession", "End one session of the caller")
            .shared(&["id"])
            .no_fields()
            .nothing(204, "The session has ended.", &TOKEN),
    ]
}

/// About the caller's own account. Program tokens are refused.
pub(super) fn own(route: &'static str) -> Builder {
    endpoint(route, TAG).needs_token().without_entity_tag(&TOKEN).problems(&[NotFound, Forbidden])
}
