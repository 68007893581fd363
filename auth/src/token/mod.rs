//! The kinds of tokens: access tokens, which are JWTs with claims, and opaque ones (refresh, reset, program).

mod access_token;
mod mfa_token;
mod opaque_token;
mod program_token;
mod refresh_token;
mod reset_token;

pub(crate) use access_token::{AccessTokens, Owner};
pub(crate) use mfa_token::MfaToken;
pub(crate) use opaque_token::constant_time_eq;
pub(crate) use program_token::ProgramTokenName;
pub(crate) use refresh_token::RefreshToken;
pub(crate) use reset_token::ResetToken;
