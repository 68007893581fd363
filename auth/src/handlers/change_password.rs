//! `POST /auth/me/password`: a new password for whoever knows the old one; ends every other session.

use std::sync::Arc;

use auth_client::Caller;
use axum::{extract::State, response::Response};
use events::{Account, Actor, EndReason};
use serde_json::{Map, Value};
use service::{Form, JsonObject, Problem, RequestContext};

use super::{answer, fields};
use crate::{
    auth::{Auth, Which},
    domain::{self, EmailAddress, Refusal},
    error::ApiError,
    ledger::{Cause, Loaded},
    password::Password,
};

#[derive(Debug)]
struct Request {
    current: Arc<Password>,
    new: Arc<Password>,
}

impl Request {
    fn read(body: Map<String, Value>, email: Option<&EmailAddress>) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let current = form.required("current_password", fields::password);
        let new = form.required("new_password", fields::password);
        fields::check_new_password(&mut form, "/new_password", new.as_ref(), email);
        form.finish()?;
        let (Some(current), Some(new)) = (current, new) else {
            return Err(Problem::internal());
        };
        Ok(Self { current, new })
    }
}

pub(crate) async fn change_password(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let id = caller.user_id();
    let request = Request::read(body.fields, EmailAddress::parse(&caller.0.email).ok().as_ref())?;
    let account: Loaded<Account> = auth.ledger.load(&id).await?;
    let account = account.state.ok_or(Refusal::AccountIsUnknown)?;
    let verified = auth
        .hasher
        .verify(&request.current, Some(&account.password_hash))
        .await?;
    if !verified.matches {
        return Err(Refusal::CredentialsAreWrong.into());
    }
    let hash = auth.hasher.hash(&request.new).await?;
    let cause = Cause::new(Actor::User(id), &context);
    let decide = |now: Option<&Account>| domain::account::change_password(now, &account.password_hash, &hash);
    let (_, changed) = auth.change_account(id, &cause, decide).await?;
    let others = Which::AllBut(caller.0.session_id);
    let ended = auth
        .end_sessions(id, others, EndReason::PasswordChanged, &cause)
        .await?;
    Ok(answer::no_content(id, changed.position.max(ended)))
}
