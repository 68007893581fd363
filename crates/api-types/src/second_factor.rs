//! The second factor of an account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A login that goes on with a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorLogin {
    /// From the answer of `/auth/login`. Good for five minutes and a few wrong codes.
    pub mfa_token: String,
    /// What the authenticator app shows, or a recovery code.
    pub code: String,
}

/// A wish for a second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollTotp {
    /// The password of the account.
    #[schema(format = Password)]
    pub password: String,
}

/// A second factor that waits to be confirmed. All of it is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotpEnrolment {
    /// The secret in base32, to be typed into an authenticator app.
    pub secret: String,
    /// The same with everything around it, to be shown as a QR code.
    pub otpauth_uri: String,
    /// For when the app is gone: each is good for one login.
    #[schema(min_items = 10, max_items = 10)]
    pub recovery_codes: Vec<String>,
}

/// The proof that the authenticator app works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// What the app shows.
    pub code: String,
}

/// A wish to give the second factor up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveTotp {
    /// The password of the account.
    #[schema(format = Password)]
    pub password: String,
    /// What the app shows, or a recovery code.
    pub code: String,
}
