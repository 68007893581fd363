//! The kinds of tokens: short-lived access tokens that say who, and opaque ones that say nothing.

mod access;
mod opaque;
mod program;
mod refresh;

pub(crate) use access::{AccessTokens, Issued};
pub(crate) use program::ProgramToken;
pub(crate) use refresh::RefreshToken;
