//! `POST /auth/me/totp`: sets up a second factor, which is in force once it is confirmed.

use std::sync::Arc;

use api_types::TotpEnrolment;
use auth_client::SignedIn;
use axum::{extract::State, response::Response};
use http::StatusCode;
use http_api::{JsonObject, Problem, RequestContext, SecurityEvent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{answer, fields};
use crate::{
    app_state::App, command_metadata::CommandMetadata, domain, error::ApiError,
    password_verification::refused_after_proof, second_factor::Enrolment,
};

/// The issuer that authenticator apps show beside the address.
const ISSUER: &str = "Taskledger";
/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) async fn enroll_totp(
    State(app): State<Arc<App>>,
    SignedIn { caller, session }: SignedIn,
    context: RequestContext,
    body: JsonObject,
) -> Result<Response, ApiError> {
    let password = body.only("password", fields::password)?;
    let id = caller.user_id();
    let account = app.prove_own_password(id, session, &password, &context).await?;
    let enrolment = Enrolment::generate(id, &app.cipher).ok_or_else(Problem::internal)?;
    let metadata = CommandMetadata::new(caller.actor(), &context);
    let changed = app
        .accounts
        .change(id, &metadata, |now| {
            domain::second_factor::enroll(now, &account.password_hash, &enrolment.event)
        })
        .await
        .map_err(|error| refused_after_proof(id, error))?;
    SecurityEvent::success("second_factor_enrolment").actor(id).subject(id).record();
    let body = TotpEnrolment {
        secret: enrolment.secret.to_string(),
        otpauth_uri: otpauth_uri(&enrolment.secret, &account.email),
        recovery_codes: enrolment.recovery_codes.iter().map(|code| code.to_string()).collect(),
    };
    Ok(answer::json(StatusCode::OK, &body, id, changed.position))
}

/// The URI of the QR code for authenticator apps.
fn otpauth_uri(secret: &str, email: &str) -> String {
    let email = utf8_percent_encode(email, RESERVED);
    format!(
        "otpauth://totp/{ISSUER}:{email}?secret={secret}&issuer={ISSUER}&algorithm=SHA1&digits=6&period=30"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_is_what_authenticator_apps_read() {
        assert_eq!(
            otpauth_uri("GEZDGNBV", "ada+1@exämple.org"),
            "otpauth://totp/Taskledger:ada%2B1%40ex%C3%A4mple.org?secret=GEZDGNBV&issuer=Taskledger&algorithm=SHA1&digits=6&period=30"
        );
    }
}
