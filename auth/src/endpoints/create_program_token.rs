//! `POST /auth/tokens`: creates a program token of the caller; its text is shown only now.

use std::{collections::BTreeSet, sync::Arc};

use api_types::NewProgramToken;
use auth_client::SignedIn;
use axum::{extract::State, response::Response};
use events::{ProgramTokenCreated, Scope, Timestamp, TokenId};
use http::StatusCode;
use http_api::{FieldError, FieldErrors, Form, JsonObject, Problem, RequestContext, items, text};
use runtime::new_id;
use serde_json::{Map, Value};

use super::{answer, fields};
use crate::{
    app_state::App, command_metadata::CommandMetadata, domain, error::ApiError, token::ProgramTokenName,
};

const MAX_NAME: usize = 100;

#[derive(Debug)]
struct Request {
    name: String,
    scopes: BTreeSet<Scope>,
    expires_at: Option<Timestamp>,
}

impl Request {
    fn read(body: Map<String, Value>, now: Timestamp) -> Result<Self, Problem> {
        let mut form = Form::new(body);
        let name = form.required("name", |value| fields::line(value, MAX_NAME));
        let scopes = form.required("scopes", scopes);
        let expires_at = form.optional("expires_at", |value| instant_after(value, now)).into_value();
        let (name, scopes) = form.finish_with(name.zip(scopes))?;
        Ok(Self { name, scopes, expires_at })
    }
}

fn scopes(value: &Value) -> Result<BTreeSet<Scope>, FieldErrors> {
    let scopes: BTreeSet<_> = items(value, "an array of scopes", |item| {
        text(item)?
            .parse()
            .map_err(|_| FieldError::new("unknown-scope", "expected tasks:read, tasks:write or audit:read"))
    })?;
    match scopes.is_empty() {
        true => Err(FieldError::new("too-few", "name at least one scope").into()),
        false => Ok(scopes),
    }
}

fn instant_after(value: &Value, now: Timestamp) -> Result<Timestamp, FieldError> {
    let instant: Timestamp = text(value)?
        .parse()
        .map_err(|_| FieldError::new("invalid-instant", "expected an instant as RFC 3339 writes it"))?;
    if instant <= now {
        return Err(FieldError::new("in-the-past", "must be in the future"));
    }
    Ok(instant)
}

pub(crate) async fn create_program_token(
    State(app): State<Arc<App>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let request = Request::read(body.fields, now)?;
    let id = caller.user_id();
    let name = ProgramTokenName { account: id, id: TokenId(new_id()) };
    let token = name.token(&app.pepper);
    let began = app.sessions.load_impersonal(session).await?.state;
    let created = ProgramTokenCreated {
        token: name.id,
        name: request.name,
        scopes: request.scopes,
        token_hash: token.hash(),
        expires_at: request.expires_at,
        second_factor: began.is_some_and(|session| session.has_second_factor()),
    };
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let changed = app
        .accounts
        .change(id, &metadata, |account| domain::program_token::create(account, session, &created, now))
        .await?;
    tracing::info!(account.id = %id, token.id = %name.id, "a program token was made");
    let mut known = changed.account.program_tokens.into_iter();
    let made = known.rfind(|known| known.id == name.id).ok_or_else(Problem::internal)?;
    let body = NewProgramToken { token: token.as_str().to_owned(), about: made.into() };
    Ok(answer::json(StatusCode::CREATED, &body, id, changed.position))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<Request, Vec<String>> {
        let Value::Object(body) = body else { panic!("not an object") };
        Request::read(body, Timestamp::from_micros(1_800_000_000_000_000)).map_err(|problem| {
            let errors = problem.document().errors;
            errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
        })
    }

    #[test]
    fn a_token_has_a_name_and_scopes_and_perhaps_an_end() {
        let request = read(json!({"name": " Backup ", "scopes": ["tasks:read", "tasks:read"]})).unwrap();
        assert_eq!((request.name.as_str(), request.scopes.len()), ("Backup", 1));
        let ends =
            read(json!({"name": "b", "scopes": ["audit:read"], "expires_at": "2027-01-15T09:00:01+01:00"}));
        assert!(ends.unwrap().expires_at.is_some());
    }

    #[test]
    fn every_mistake_is_named() {
        let wrong = json!({"name": "", "scopes": ["tasks:read", "tasks:all", 1], "expires_at": "2027-01-15T08:00:00Z"});
        assert_eq!(
            read(wrong).unwrap_err(),
            ["/name empty", "/scopes/1 unknown-scope", "/scopes/2 wrong-type", "/expires_at in-the-past"]
        );
        assert_eq!(
            read(json!({"scopes": [], "expires_at": 7})).unwrap_err(),
            ["/name required", "/scopes too-few", "/expires_at wrong-type"]
        );
    }
}
