//! The refusals of the rules.

use events::{EndReason, UserId};

/// The number of wrong passwords in a row without a delay, because people mistype.
pub(crate) const FREE_ATTEMPTS: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("an account with this address exists")]
    EmailIsTaken,
    /// No account has this address, or the password is wrong; the client cannot see which.
    #[error("the address or the password is wrong")]
    CredentialsAreWrong,
    #[error("the password is wrong")]
    OwnPasswordIsWrong,
    /// Too many attempts failed before. Whether this one is right is not checked.
    #[error("too many attempts failed; the next may be made in {seconds} seconds")]
    AttemptsAreTooMany { seconds: u64 },
    /// The password that was verified is no longer the one of the account.
    #[error("the password was changed meanwhile")]
    PasswordHasChanged,
    /// The password was right, but the account is disabled.
    #[error("the account is disabled")]
    AccountIsDisabled,
    #[error("there is no such account")]
    AccountIsUnknown,
    /// There is no such session, or it is someone else's.
    #[error("there is no such session")]
    SessionIsUnknown,
    #[error("the session has ended ({0:?})")]
    SessionHasEnded(EndReason),
    #[error("the session has expired")]
    SessionHasExpired,
    #[error("the refresh token is unknown")]
    RefreshTokenIsUnknown,
    /// The refresh token was used before: someone has a copy of it.
    #[error("the refresh token was used before")]
    RefreshTokenIsUsed,
    /// The refresh token was repeated too often within moments. The session continues without this client.
    #[error("the refresh was repeated too often")]
    RefreshIsRepeatedTooOften,
    #[error("the account has too many program tokens")]
    TooManyProgramTokens,
    /// The account has no such program token, or no longer.
    #[error("there is no such program token")]
    ProgramTokenIsUnknown,
    /// The password was right, and a code is needed.
    #[error("a second factor is required")]
    SecondFactorIsRequired,
    #[error("the account has a second factor")]
    SecondFactorExists,
    /// The account has no second factor, or none that waits for confirmation.
    #[error("there is no such second factor")]
    SecondFactorIsUnknown,
    /// The code is wrong, or was used before.
    #[error("the code is wrong")]
    CodeIsWrong,
    #[error("too many codes were wrong")]
    TooManyWrongCodes { wait_seconds: i64 },
    /// The login that waits for a code is unknown, was completed, took too long, or had too many wrong codes.
    #[error("the login cannot go on")]
    LoginIsOver,
    /// The reset does not exist, was used, or was replaced by a newer one.
    #[error("the reset is unknown")]
    ResetIsUnknown,
    #[error("the reset has expired")]
    ResetHasExpired,
    #[error("only an admin makes others admins")]
    ActorIsNoAdmin,
    #[error("{0} is the last admin")]
    AccountIsLastAdmin(UserId),
}
