//! The second factor of an account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The second step of a login.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorLogin {
    /// The token from the answer of `/auth/login`. It is valid for five minutes and a few wrong codes.
    pub mfa_token: String,
    /// A code of the authenticator app, or a recovery code.
    pub code: String,
}

/// A request to set up a second factor.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollTotp {
    /// The password of the account.
    #[schema(format = Password)]
    pub password: String,
}

/// A second factor that is not confirmed yet. All of it is shown only once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotpEnrolment {
    /// The secret in Base32, for an authenticator app.
    pub secret: String,
    /// The secret as a URI, which can be shown as a QR code.
    pub otpauth_uri: String,
    /// Recovery codes for logins without the app. Each can be used once.
    #[schema(min_items = 10, max_items = 10)]
    pub recovery_codes: Vec<String>,
}

/// The confirmation that the authenticator app works.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// A code of the app.
    pub code: String,
}

/// A request to remove the second factor.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveTotp {
    /// The password of the account.
    #[schema(format = Password)]
    pub password: String,
    /// A code of the app, or a recovery code.
    pub code: String,
}
