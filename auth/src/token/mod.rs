//! The kinds of tokens: access tokens, which are JWTs with claims, and opaque ones (refresh, reset, program).

mod access;
mod mfa;
mod opaque;
mod program;
mod refresh_token;
mod reset;

pub(crate) use access::{AccessTokens, Issued, Owner};
pub(crate) use mfa::MfaToken;
pub(crate) use opaque::constant_time_eq;
pub(crate) use program::{ProgramToken, ProgramTokenName};
pub(crate) use refresh_token::RefreshToken;
pub(crate) use reset::ResetToken;
