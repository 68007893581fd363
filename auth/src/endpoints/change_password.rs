//! `POST /auth/me/password`: a new password for whoever knows the old one; ends every other session.

use std::sync::Arc;

use auth_client::{Revocation, SignedIn};
use axum::{extract::State, response::Response};
use events::{Account, Actor, EmailAddress, EndReason, SecretHash};
use http_api::{Form, JsonObject, Problem, RequestContext};
use serde_json::{Map, Value};

use super::{answer, fields};
use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{ApiError, Failure},
    password::{Password, Policy},
};

#[derive(Debug)]
struct Request {
    current: Arc<Password>,
    new: Arc<Password>,
}

impl Request {
    fn read(
        body: Map<String, Value>,
        policy: &Policy,
        email: Option<&EmailAddress>,
    ) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let current = form.required("current_password", fields::password);
        let new = form.required("new_password", fields::password);
        fields::check_new_password(&mut form, "/new_password", policy, new.as_ref(), email);
        form.finish()?;
        let (Some(current), Some(new)) = (current, new) else {
            return Err(Problem::internal());
        };
        Ok(Self { current, new })
    }
}

pub(crate) async fn change_password(
    State(auth): State<Arc<Auth>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let email = EmailAddress::parse(&caller.0.email).ok();
    let request = Request::read(body.fields, &auth.password_policy, email.as_ref())?;
    fields::check_not_breached("/new_password", &auth.password_policy, &request.new).await?;
    let account = auth.account(id).await?;
    let shown = account.position();
    let account = account.state.ok_or(Refusal::AccountIsUnknown)?;
    if !knows(&auth, &request.current, &account).await? {
        // Whoever repeats a change whose answer was lost has the new password already.
        return if knows(&auth, &request.new, &account).await? {
            auth.revoke(Revocation::Account(id)).await;
            Ok(answer::no_content(id, shown))
        } else {
            Err(Refusal::CredentialsAreWrong.into())
        };
    }
    let hash: SecretHash = auth.hasher.hash(&request.new).await?.into();
    let metadata = CommandMetadata::new(Actor::User(id), &context);
    let changed = auth
        .change_account(id, &metadata, |now| {
            domain::account::change_password(now, &account.password_hash, &hash, session)
        })
        .await?;
    auth.revoke(Revocation::Account(id)).await;
    let position = auth
        .end_closed_sessions(&changed, EndReason::PasswordChanged, &metadata)
        .await;
    Ok(answer::no_content(id, position))
}

async fn knows(auth: &Auth, password: &Arc<Password>, account: &Account) -> Result<bool, Failure> {
    let verified = auth.hasher.verify(password, Some(&account.password_hash)).await?;
    Ok(verified.matches)
}
