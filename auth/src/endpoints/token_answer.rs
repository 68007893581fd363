//! The answer to logins and refreshes: an access token, a refresh token, and the account.

use api_types::{TokenType, Tokens};
use axum::response::Response;
use events::{Account, Admins, Session};
use http::StatusCode;
use runtime::new_id;

use super::answer;
use crate::{
    app_state::App,
    error::ApiError,
    token::{Owner, RefreshToken},
};

/// Issues an access token for `account` in `session`, and answers with it and `refresh_token`. The answer includes
/// everything about the account up to `position`.
pub(crate) fn token_answer(
    app: &App,
    account: Account,
    session: &Session,
    admins: &Admins,
    refresh_token: &RefreshToken,
    position: u64,
) -> Result<Response, ApiError> {
    let (id, now) = (account.id, app.clock.now());
    let owner =
        Owner { id, email: account.email.clone(), roles: app.roles.in_session(&account, session, admins) };
    let issued = app.tokens.issue(&owner, session, now, new_id())?;
    let left = session.ends_at().as_micros() - now.as_micros();
    let body = Tokens {
        access_token: issued.token,
        token_type: TokenType::Bearer,
        expires_in: issued.expires_in,
        refresh_token: refresh_token.text.as_str().to_owned(),
        // Rounded, because a little time has passed since the session began.
        refresh_expires_in: (left + 500_000).div_euclid(1_000_000),
        user: account.into(),
    };
    Ok(answer::json(StatusCode::OK, &body, id, position))
}
