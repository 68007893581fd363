//! The paths of auth, and the endpoint behind each.

use auth_client::{presented_token, program_token_name};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use http::{HeaderValue, header};
use http_api::{BodyLimit, Problem, check_untagged_conditions, read_body, refuse_parameters};

use crate::{
    app_state::AppState,
    endpoints::{
        change_password, confirm_totp, create_program_token, end_session, enroll_totp, erase_me, jwks,
        list_program_tokens, list_sessions, list_users, login, login_second_factor, logout, logout_all, me,
        offer_reset, refresh, register, remove_totp, rename, reset_password, revoke_program_token,
        revoke_program_tokens, second_factor_roles, set_disabled, set_roles,
    },
};

pub(crate) fn routes(state: AppState) -> Router {
    let without_parameters = Router::new()
        .route("/auth/register", post(register::register))
        .route("/auth/login", post(login::login))
        .route("/auth/login/second-factor", post(login_second_factor::login_second_factor))
        .route("/auth/refresh", post(refresh::refresh))
        .route("/auth/logout", post(logout::logout))
        .route("/auth/logout-all", post(logout_all::logout_all))
        .route("/auth/me", get(me::me).patch(rename::rename).delete(erase_me::erase_me))
        .route("/auth/me/password", post(change_password::change_password))
        .route("/auth/me/totp", post(enroll_totp::enroll_totp).delete(remove_totp::remove_totp))
        .route("/auth/me/totp/confirm", post(confirm_totp::confirm_totp))
        .route("/auth/reset", post(reset_password::reset_password))
        .route("/auth/users/{id}/reset", post(offer_reset::offer_reset))
        .route("/auth/sessions", get(list_sessions::list_sessions))
        .route("/auth/sessions/{id}", delete(end_session::end_session))
        .route(
            "/auth/tokens",
            get(list_program_tokens::list_program_tokens)
                .post(create_program_token::create_program_token)
                .delete(revoke_program_tokens::of_the_caller),
        )
        .route("/auth/tokens/{id}", delete(revoke_program_token::revoke_program_token))
        .route("/auth/second-factor-roles", get(second_factor_roles::show).put(second_factor_roles::set))
        .route("/auth/users/{id}/roles", put(set_roles::set_roles))
        .route("/auth/users/{id}/disable", post(set_disabled::disable))
        .route("/auth/users/{id}/enable", post(set_disabled::enable))
        .route("/auth/users/{id}/tokens", delete(revoke_program_tokens::of_somebody))
        .route("/.well-known/jwks.json", get(jwks::jwks));
    refuse_parameters(without_parameters)
        // The others read their parameters themselves.
        .route("/auth/users", get(list_users::list_users))
        .route_layer(middleware::from_fn(check_untagged_conditions))
        .layer(middleware::from_fn_with_state(state.clone(), share))
        .layer(middleware::map_response(forbid_storing))
        .with_state(state)
}

/// No answer of auth may be cached, including errors.
async fn forbid_storing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Limits requests with a token for each person. The token itself names the person; whether its session is live is
/// checked afterwards, because that needs connections, too. The body is received before, so that nobody with a stolen
/// token keeps the permits of its owner by sending slowly.
async fn share(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let token = presented_token(request.headers());
    let named = token.and_then(|token| Some((token, state.verifier.subject(token)?)));
    let Some((token, person)) = named else {
        return next.run(request).await;
    };
    let is_program = program_token_name(token).is_some();
    let (parts, body) = request.into_parts();
    let admitted = async {
        let body = read_body(body, BodyLimit::default()).await?;
        let limits = &state.app.limits;
        let permit = match is_program {
            true => limits.programs.acquire(person).await?,
            false => limits.requests.acquire(person).await?,
        };
        Ok::<_, Problem>((body, permit))
    };
    match admitted.await {
        Ok((body, _permit)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(problem) => problem.into_response(),
    }
}
