//! Every way in which the rules say no.

use events::{EndReason, UserId};

/// The number of failed attempts at a password in a row that cost no time: people mistype.
pub(crate) const FREE_ATTEMPTS: u32 = 5;

/// The rules say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Another account has this address.
    #[error("an account with this address exists")]
    EmailIsTaken,
    /// No account has this address, or the password is wrong: which of the two is not told.
    #[error("the address or the password is wrong")]
    CredentialsAreWrong,
    /// Too many attempts failed before. It is not told whether this one would have.
    #[error("too many attempts failed; the next may be made in {seconds} seconds")]
    AttemptsAreTooMany {
        /// How long to wait.
        seconds: u64,
    },
    /// The password that was verified is no longer the one of the account.
    #[error("the password was changed meanwhile")]
    PasswordHasChanged,
    /// The password was right, but the account may not be used.
    #[error("the account is disabled")]
    AccountIsDisabled,
    /// There is no such account.
    #[error("there is no such account")]
    AccountIsUnknown,
    /// There is no such session, or it is someone else's.
    #[error("there is no such session")]
    SessionIsUnknown,
    /// The session is over.
    #[error("the session has ended ({0:?})")]
    SessionHasEnded(EndReason),
    /// The session reached its end by itself.
    #[error("the session has expired")]
    SessionHasExpired,
    /// No session was ever given this refresh token.
    #[error("the refresh token is unknown")]
    RefreshTokenIsUnknown,
    /// The refresh token was used before: someone has a copy of it.
    #[error("the refresh token was used before")]
    RefreshTokenIsUsed,
    /// The refresh token was handed out again as often as may be within moments. The session goes on without this client.
    #[error("the refresh was repeated too often")]
    RefreshIsRepeatedTooOften,
    /// The account has as many program tokens as it may have.
    #[error("the account has too many program tokens")]
    TooManyProgramTokens,
    /// The account has no such program token.
    #[error("there is no such program token")]
    ProgramTokenIsUnknown,
    /// The password was right, and a code is still missing.
    #[error("a second factor is required")]
    SecondFactorIsRequired,
    /// The account has a second factor already.
    #[error("the account has a second factor")]
    SecondFactorExists,
    /// The account has none, or none that waits to be confirmed.
    #[error("there is no such second factor")]
    SecondFactorIsUnknown,
    /// The code is wrong, or was used before.
    #[error("the code is wrong")]
    CodeIsWrong,
    /// Too many codes were wrong lately.
    #[error("too many codes were wrong")]
    TooManyWrongCodes {
        /// For how long no further code is looked at.
        wait_seconds: i64,
    },
    /// The login that waits for a code is not known, took too long, or had too many wrong codes.
    #[error("the login cannot go on")]
    LoginIsOver,
    /// No such reset was offered, or it was used, or a newer one took its place.
    #[error("the reset is unknown")]
    ResetIsUnknown,
    /// The reset was not used in time.
    #[error("the reset has expired")]
    ResetHasExpired,
    /// Without this account nobody could manage accounts any more.
    #[error("{0} is the last admin")]
    AccountIsLastAdmin(UserId),
}
