//! The two kinds of tokens: short-lived access tokens that say who, and refresh tokens that say nothing.

mod access;
mod refresh;

pub(crate) use access::{AccessTokens, Issued};
pub(crate) use refresh::RefreshToken;
