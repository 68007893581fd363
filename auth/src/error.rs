//! The errors of auth in three layers: refusals, failures of dependencies, and bad requests. Only here they are
//! mapped to HTTP.

use aggregate::{ExecuteError, RepositoryError};
use auth_client::Caller;
use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use event_store::StoreError;
use http_api::{Allowance, Problem, ProblemCode, RateLimitPolicy, from_variants};
use sealing::KeyError;
use zeroize::Zeroizing;

use crate::{
    domain::{FREE_ATTEMPTS, Refusal},
    password::{HashingFailed, UnusableFile},
};

/// The failure of a dependency.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The event store.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The read models, which only lists of accounts need.
    #[error(transparent)]
    ReadModels(DatabaseError),
    /// The counters of failed attempts, and the other records of this role.
    #[error(transparent)]
    Operations(#[from] DatabaseError),
    #[error("failed attempts cannot be counted at the moment")]
    Uncounted,
    /// The keys that encrypt personal data.
    #[error(transparent)]
    SubjectKeys(#[from] KeyError),
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Breached(#[from] UnusableFile),
    #[error("an access token cannot be signed: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

impl Failure {
    /// Whether a stream of the log has a record that cannot be read. Trying again does not help.
    pub(crate) const fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Repository(RepositoryError::Unreadable(_) | RepositoryError::Store(StoreError::Corrupt(_)))
        )
    }

    /// Whether the key of one person is damaged or lost.
    pub(crate) const fn is_unusable_key(&self) -> bool {
        matches!(
            self,
            Self::Repository(RepositoryError::Store(StoreError::KeyUnusable(_)))
                | Self::SubjectKeys(KeyError::Damaged(_) | KeyError::Lost(_))
        )
    }
}

/// Why a command had no effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Failed(#[from] Failure),
}

pub(crate) enum ApiError {
    Refused(Refusal),
    Failed(Failure),
    /// The password was right, and a code is needed. The token with which the login continues.
    SecondFactorRequired(Zeroizing<String>),
    Bad(Problem),
}

impl From<ExecuteError<Refusal>> for CommandError {
    fn from(error: ExecuteError<Refusal>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Refused(refusal),
            ExecuteError::Failed(error) => Self::Failed(error.into()),
        }
    }
}

from_variants! {
    Failure {
        StoreError => Repository,
    }
}

from_variants! {
    CommandError {
        RepositoryError => Failed,
        StoreError => Failed,
        DatabaseError => Failed,
        KeyError => Failed,
    }
}

from_variants! {
    ApiError {
        Refusal => Refused,
        Failure => Failed,
        RepositoryError => Failed,
        DatabaseError => Failed,
        HashingFailed => Failed,
        UnusableFile => Failed,
        jsonwebtoken::errors::Error => Failed,
        Problem => Bad,
    }
}

impl From<ExecuteError<Refusal>> for ApiError {
    fn from(error: ExecuteError<Refusal>) -> Self {
        CommandError::from(error).into()
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => Self::Refused(refusal),
            CommandError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => refused(&refusal),
            Self::Failed(failure) => failed(&failure),
            Self::SecondFactorRequired(token) => refused(&Refusal::SecondFactorIsRequired).mfa_token(&token),
            Self::Bad(problem) => problem,
        }
        .into_response()
    }
}

fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::EmailIsTaken => {
            Problem::new(ProblemCode::EmailTaken).detail("An account with this e-mail address exists.")
        }
        Refusal::CredentialsAreWrong | Refusal::PasswordHasChanged => {
            bad_credentials("The e-mail address or the password is wrong.")
        }
        Refusal::OwnPasswordIsWrong => bad_credentials("The password is wrong."),
        Refusal::AttemptsAreTooMany { seconds } => too_many_attempts(*seconds),
        Refusal::AccountIsDisabled => Problem::new(ProblemCode::AccountDisabled)
            .detail("This account has been disabled. Ask an administrator."),
        Refusal::AccountIsUnknown | Refusal::SessionIsUnknown | Refusal::ProgramTokenIsUnknown => {
            Problem::not_found()
        }
        Refusal::SecondFactorIsRequired => Problem::unauthorized(
            ProblemCode::SecondFactorRequired,
            "The password is right. Send a code of the second factor to /auth/login/second-factor.",
            None,
        ),
        Refusal::SecondFactorExists => Problem::new(ProblemCode::SecondFactorExists)
            .detail("This account has a second factor. Give it up first, with a code of it."),
        Refusal::SecondFactorIsUnknown => {
            Problem::not_found().detail("There is no second factor that this could be about.")
        }
        Refusal::CodeIsWrong => bad_credentials("The code is wrong, or was used before."),
        Refusal::TooManyWrongCodes { wait_seconds } => none_left(
            "codes",
            events::FREE_WRONG_CODES.into(),
            u64::try_from(*wait_seconds).unwrap_or(1),
            "Too many codes were wrong. Wait, or use a recovery code; after very many only that or an operator helps.",
        ),
        Refusal::LoginIsOver => Problem::unauthorized(
            ProblemCode::TokenInvalid,
            "This login is over: it was completed, took too long, or had too many wrong codes. Log in again.",
            Some("The login is over"),
        ),
        Refusal::ResetIsUnknown => Problem::unauthorized(
            ProblemCode::TokenInvalid,
            "The reset token is malformed, was used or taken back, or a newer one took its place.",
            Some("The reset token is not good"),
        ),
        Refusal::ResetHasExpired => Problem::unauthorized(
            ProblemCode::TokenExpired,
            "The reset token has expired. Ask for another.",
            Some("The reset token expired"),
        ),
        Refusal::TooManyProgramTokens => Problem::new(ProblemCode::TooManyTokens).detail(format!(
            "An account has at most {} tokens. Take back one that is not needed any more.",
            events::MAX_PROGRAM_TOKENS
        )),
        Refusal::SessionHasEnded(_) | Refusal::RefreshTokenIsUsed => Problem::unauthorized(
            ProblemCode::SessionEnded,
            "The session of this token has ended. Log in again.",
            Some("The session ended"),
        ),
        Refusal::RefreshIsRepeatedTooOften => Problem::unauthorized(
            ProblemCode::TokenInvalid,
            "This refresh token was exchanged as often as can be. The session lives: go on with a token that came of it.",
            Some("The refresh was repeated too often"),
        ),
        Refusal::SessionHasExpired => Problem::unauthorized(
            ProblemCode::TokenExpired,
            "The refresh token has expired. Log in again.",
            Some("The refresh token expired"),
        ),
        Refusal::RefreshTokenIsUnknown => Problem::unauthorized(
            ProblemCode::TokenInvalid,
            "The refresh token is malformed, or was not issued here.",
            Some("The refresh token is malformed"),
        ),
        Refusal::ActorIsNoAdmin => Caller::role_missing(),
        Refusal::AccountIsLastAdmin(_) => Problem::new(ProblemCode::LastAdmin)
            .detail("This is the last admin. Make someone else an admin first."),
    }
}

fn bad_credentials(detail: &str) -> Problem {
    Problem::unauthorized(ProblemCode::BadCredentials, detail, None)
}

/// Reveals nothing about the account, nor whether this attempt was right.
fn too_many_attempts(seconds: u64) -> Problem {
    none_left(
        "attempts",
        FREE_ATTEMPTS.into(),
        seconds,
        "Too many attempts. Wait as long as Retry-After says, or try from where you were logged in before; \
         after very many only that or a reset of the password helps.",
    )
}

/// `429` of a limit that auth counts itself, in the same form as the gateway's. There is no window, because the waits
/// grow.
fn none_left(limit: &'static str, free: u64, seconds: u64, detail: &str) -> Problem {
    let policy = RateLimitPolicy { name: limit, quota: free, unit: None, window: None };
    Problem::used_up(Allowance { policy, retry_after: seconds }).detail(detail)
}

fn failed(failure: &Failure) -> Problem {
    let detail = match failure {
        Failure::Repository(
            RepositoryError::Store(StoreError::Unavailable(_) | StoreError::Conflict { .. })
            | RepositoryError::Contended { .. }
            | RepositoryError::Overloaded,
        ) => "The event store cannot be used at the moment. Try again shortly.",
        Failure::ReadModels(error) if error.refuses_data() => {
            tracing::warn!(error = %failure, "the read models refuse what a request asks for");
            return Problem::bad_parameter("query", "holds what the database cannot compare with");
        }
        Failure::ReadModels(_) => "The read models cannot be used at the moment. Try again shortly.",
        Failure::Operations(_) | Failure::Uncounted => {
            "Passwords cannot be checked at the moment. Try again shortly."
        }
        Failure::Repository(RepositoryError::Store(StoreError::KeyUnusable(_)))
        | Failure::SubjectKeys(KeyError::Damaged(_) | KeyError::Lost(_)) => {
            "What is personal in this account cannot be read at the moment. Ask an operator."
        }
        Failure::Repository(RepositoryError::Store(StoreError::KeysUnavailable(_))) => {
            "The keys of people cannot be used at the moment. Ask an operator."
        }
        Failure::SubjectKeys(_) => "The keys of people cannot be used at the moment. Try again shortly.",
        Failure::Hashing(HashingFailed::Overloaded) => {
            tracing::warn!(error = %failure, "a request could not be served");
            let detail = "Too many passwords are being checked at the moment. Try again shortly.";
            return Problem::overloaded(detail);
        }
        // Logged in the access log by the role that sends them.
        Failure::Hashing(HashingFailed::Crowded) => return too_many_attempts(1),
        Failure::Breached(_) => {
            tracing::error!(error = %failure, "a new password cannot be checked");
            return Problem::unavailable("New passwords cannot be checked at the moment. Try again shortly.");
        }
        Failure::Repository(
            RepositoryError::Store(StoreError::Empty | StoreError::TooLarge { .. } | StoreError::Corrupt(_))
            | RepositoryError::Unreadable(_),
        )
        | Failure::Hashing(HashingFailed::Argon2(_) | HashingFailed::NoThread(_) | HashingFailed::Broken)
        | Failure::Signing(_) => {
            tracing::error!(error = %failure, "a request failed");
            return Problem::internal();
        }
    };
    tracing::warn!(error = %failure, "a request could not be served");
    Problem::unavailable(detail)
}
