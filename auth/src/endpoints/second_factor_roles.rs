//! `GET` and `PUT /auth/second-factor-roles`: the roles that are valid only in sessions with a second factor.

use std::sync::Arc;

use api_types::SecondFactorRoles;
use auth_client::{Admin, Revocation};
use axum::{extract::State, response::Response};
use events::{Actor, Admins, UserId};
use http::StatusCode;
use http_api::{JsonObject, RequestContext};

use super::{answer, set_roles};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::ApiError,
};

fn shown(app: &App, admins: Option<Admins>, position: u64) -> Response {
    let roles = app.roles.needing_second_factor(&admins.unwrap_or_default());
    let body = SecondFactorRoles { roles: roles.into_iter().collect() };
    answer::json(StatusCode::OK, &body, UserId::NOBODY, position)
}

pub(crate) async fn show(State(app): State<Arc<App>>, _: Admin) -> Result<Response, ApiError> {
    let admins = app.accounts.admins.load(&()).await?;
    let position = admins.position();
    Ok(shown(&app, admins.state, position))
}

pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let roles = body.only("roles", set_roles::roles)?;
    // It concerns all accounts.
    let metadata = CommandMetadata::new(Actor::User(caller.user_id()), &context).about(UserId::NOBODY);
    let decide = |admins: Option<&Admins>, _| {
        Ok::<_, Refusal>(domain::admins::set_second_factor_roles(admins, &roles))
    };
    let done = app.accounts.admins.execute(&(), &metadata, decide).await?;
    // Also when nothing changed: an earlier process may have ended before it broadcast this.
    app.revocations.broadcast(Revocation::Keys).await;
    Ok(shown(&app, done.state, done.position))
}
