//! Checks access tokens, by their signature and times, and by the session and the account in the event store. Called
//! directly by auth's own endpoints, and over the bus by the other roles.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use auth_client::{
    Check, Credential, Identity, Rejection, VerifyError,
    messages::{CheckReply, CheckRequest, Traced, Verdict},
    program_token_name,
};
use bus::Responder;
use bytes::Bytes;
use events::{UserId, sha256};
use tracing::Instrument as _;

use crate::{app_state::App, error::Failure, program_token_check, token::ProgramTokenName};

/// The time limit of a check, which is also how long callers over the bus wait.
const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) struct TokenCheck(pub(crate) Arc<App>);

impl TokenCheck {
    async fn judge(&self, token: &str) -> Result<Verdict, Failure> {
        let Self(app) = self;
        if let Some(name) = program_token_name(token) {
            return program_token_check::judge(app, name, &sha256(token.as_bytes())).await;
        }
        if app.tokens.misses_key_of(token) {
            app.key_reload.renew().await;
        }
        let now = app.clock.now();
        let claims = match app.tokens.verify(token, now) {
            Ok(claims) => claims,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let loaded = futures::try_join!(
            app.sessions.load_impersonal(claims.sid),
            app.accounts.load_impersonal_with_admins(claims.sub)
        );
        let (session, (account, admins)) = match loaded {
            Ok(loaded) => loaded,
            Err(failure) => return app.unless_erased(claims.sub, failure).await,
        };
        let session = session.state.filter(|session| session.account == claims.sub && session.is_live(now));
        let account = account.state.filter(|account| account.has_open(claims.sid));
        let (Some(session), Some(account)) = (session, account) else {
            return Ok(Verdict::Rejected(Rejection::SessionEnded));
        };
        Ok(Verdict::Accepted(Identity {
            user_id: account.id,
            email: account.email.clone(),
            credential: Credential::Session(session.id),
            // The present roles, not those at the time of issue.
            roles: app.roles.in_session(&account, &session, &admins),
            expires_at: claims.expires_at().min(session.ends_at()),
        }))
    }

    async fn verdict(&self, judged: impl Future<Output = Result<Verdict, Failure>>) -> Verdict {
        let verdict = match tokio::time::timeout(DEADLINE, judged).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) if error.is_unreadable() => {
                tracing::error!(%error, "a token cannot be checked");
                Verdict::Failed
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a token could not be checked");
                Verdict::Unavailable
            }
            Err(_) => {
                tracing::warn!("a token could not be checked in time");
                Verdict::Unavailable
            }
        };
        self.0.counters.check(match &verdict {
            Verdict::Accepted(_) => "accepted",
            Verdict::Rejected(Rejection::Malformed) => "malformed",
            Verdict::Rejected(Rejection::Expired) => "expired",
            Verdict::Rejected(Rejection::SessionEnded) => "session_ended",
            Verdict::Unavailable => "unavailable",
            Verdict::Failed => "failed",
        });
        verdict
    }
}

#[async_trait]
impl Check for TokenCheck {
    async fn check(&self, token: &str) -> Result<Identity, VerifyError> {
        match self.verdict(self.judge(token)).await {
            Verdict::Accepted(identity) => Ok(identity),
            Verdict::Rejected(rejection) => Err(rejection.into()),
            Verdict::Unavailable => {
                Err(VerifyError::Unavailable("the event store is unavailable".to_owned()))
            }
            Verdict::Failed => Err(VerifyError::Failed),
        }
    }

    fn subject(&self, token: &str) -> Option<UserId> {
        if let Some(name) = program_token_name(token) {
            return ProgramTokenName::parse(name, &self.0.pepper).map(|name| name.account);
        }
        let claims = self.0.tokens.verify(token, self.0.clock.now());
        claims.ok().map(|claims| claims.sub)
    }

    fn owner(&self, token: &str) -> Option<UserId> {
        match program_token_name(token) {
            Some(_) => self.subject(token),
            None => self.0.tokens.genuine(token).map(|claims| claims.sub),
        }
    }
}

#[async_trait]
impl Responder for TokenCheck {
    async fn respond(&self, request: Bytes) -> Bytes {
        let (token_sha256, verdict) = match Traced::<CheckRequest>::decode(&request) {
            Ok(Traced { message, traceparent }) => {
                let trace = traceparent.as_deref();
                let span = tracing::info_span!(
                    "token check",
                    trace.id = trace.and_then(http_api::trace_id_of),
                    trace.parent = trace.and_then(http_api::parent_id_of)
                );
                let checking = async {
                    let verdict = match &message {
                        CheckRequest::Token(token) => self.verdict(self.judge(token)).await,
                        CheckRequest::ProgramToken { name, token_sha256 } => {
                            self.verdict(program_token_check::judge(&self.0, name, token_sha256)).await
                        }
                    };
                    tracing::debug!(
                        accepted = matches!(verdict, Verdict::Accepted(_)),
                        "a token was checked"
                    );
                    verdict
                };
                let verdict = checking.instrument(span).await;
                let token_sha256 = match message {
                    CheckRequest::Token(token) => sha256(token.as_bytes()),
                    CheckRequest::ProgramToken { token_sha256, .. } => token_sha256,
                };
                (token_sha256, verdict)
            }
            Err(_) => (String::new(), Verdict::Rejected(Rejection::Malformed)),
        };
        CheckReply { token_sha256, verdict }.encode()
    }
}
