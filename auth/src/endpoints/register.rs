//! `POST /auth/register`: claims the address, then opens the account.

use std::sync::Arc;

use api_types::UserBody;
use axum::{extract::State, response::Response};
use events::{Account, AccountRegistered, Actor, EmailAddress, UserId};
use http::StatusCode;
use http_api::{Form, JsonObject, Problem, RequestContext, SecurityEvent};
use runtime::new_id;
use serde_json::{Map, Value};

use super::{answer, fields};
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Claim, Refusal},
    error::{ApiError, CommandError},
    password::{Password, Policy, Requester},
    throttle::Attempt,
};

#[derive(Debug)]
struct Request {
    email: EmailAddress,
    password: Arc<Password>,
    display_name: Option<String>,
}

impl Request {
    fn read(body: Map<String, Value>, policy: &Policy) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let email = form.required("email", fields::email);
        let password = form.required("password", fields::password);
        let display_name = form.optional("display_name", fields::display_name).into_value();
        fields::check_new_password(&mut form, "/password", policy, password.as_ref(), email.as_ref());
        let (email, password) = form.finish_with(email.zip(password))?;
        Ok(Self { email, password, display_name })
    }
}

pub(crate) async fn register(
    State(app): State<Arc<App>>,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let request = Request::read(body.fields, &app.password_policy)?;
    let registered = open(&app, &context, request).await;
    if let Err(ApiError::Refused(refusal)) = &registered {
        let reason = match refusal {
            Refusal::EmailIsTaken => "email_taken",
            Refusal::AttemptsAreTooMany { .. } => "too_many_attempts",
            _ => "refused",
        };
        SecurityEvent::failure("register", reason).record();
    }
    registered
}

async fn open(app: &App, context: &RequestContext, request: Request) -> Result<Response, ApiError> {
    fields::check_not_breached("/password", &app.password_policy, &request.password).await?;
    let attempt = Attempt::at_email(&app.pepper, &request.email, context);
    app.throttle.register(&attempt).await?;
    let slot = app.hasher.admit(Requester::stranger(attempt.source())).await?;
    let password_hash = app.hasher.hash(&slot, &request.password).await?;
    drop(slot);
    let registered = AccountRegistered {
        email: request.email.as_str().to_owned(),
        display_name: request.display_name,
        password_hash: password_hash.into(),
    };
    let id = UserId(new_id());
    let metadata = CommandMetadata::new(Actor::User(id), context);
    let (account, position) = open_account(app, &metadata, id, &request.email, &registered).await?;
    SecurityEvent::success("register").actor(account.id).subject(account.id).record();
    // The person at this address chose the password, so the address is familiar.
    app.throttle.registered(&attempt).await;
    let id = account.id;
    Ok(answer::json(StatusCode::CREATED, &UserBody::from(account), id, position))
}

/// Registers an account with `id`, unless the address was claimed for another one.
///
/// This takes two appends, with a possible crash in between. Then the next registration of the address finds a claim
/// without an account, and registers the id of the claim. If the first one was only slow, both try to write version 1
/// of the same stream: one succeeds, and the other finds the address taken.
pub(crate) async fn open_account(
    app: &App,
    metadata: &CommandMetadata,
    id: UserId,
    email: &EmailAddress,
    registered: &AccountRegistered,
) -> Result<(Account, u64), CommandError> {
    // The account of the earlier claim, if there was one.
    let mut holder = claim(app, metadata, id, email).await?;
    if holder != id {
        match app.is_erased(holder).await? {
            Some(true) => {
                // The erasure of that person has not released the address yet.
                app.release_address(email, holder, &metadata.by_system()).await?;
                holder = claim(app, metadata, id, email).await?;
            }
            Some(false) => return Err(Refusal::EmailIsTaken.into()),
            None => {}
        }
    }
    let id = holder;
    let metadata = match metadata.actor() {
        // A person who registers is the actor of their own registration.
        Actor::User(_) => metadata.by(Actor::User(id)),
        _ => metadata.clone(),
    };
    let changed =
        app.accounts.change(id, &metadata, |account| domain::account::register(account, registered)).await?;
    tracing::info!(account.id = %id, "account registered");
    Ok((changed.account, changed.position))
}

/// Claims the address for `id`, unless another account has it. Returns the account that has it now.
async fn claim(
    app: &App,
    metadata: &CommandMetadata,
    id: UserId,
    email: &EmailAddress,
) -> Result<UserId, CommandError> {
    let decide = |claim: Option<&Claim>, _| Ok::<_, Refusal>(domain::claim::claim(claim, id));
    let key = app.pepper.key_of(email);
    let claimed = app.accounts.claims.execute(&key, &metadata.about(id), decide).await?;
    Ok(claimed.state.and_then(|claim| claim.holder).unwrap_or(id))
}
