//! The contract between auth, which issues and checks access tokens, and the roles that receive them.
//!
//! [`messages`] has the messages on the bus. [`TokenRules`] verifies the signature and the claims of a token.
//! [`Verifier`] does this, asks auth, and caches the answers. [`Caller`], [`SignedIn`], [`Admin`], [`TaskOwner`] and
//! [`AuditReader`] are the extractors for handlers. Nothing here can create a token.

mod ask_auth;
mod cache;
mod caller;
mod check;
mod check_metrics;
mod claims;
mod jwk;
mod known_keys;
pub mod messages;
mod refusals;
mod remote;
mod token;
mod verifier;
mod verifier_options;

pub use caller::{Admin, AuditReader, Caller, SignedIn, TaskOwner, bearer_token, presented_token};
pub use check::{Check, VerifyError};
pub use claims::{Claims, ISSUER, TOKEN_TYPE, TokenRules, key_id};
pub use jwk::VerifyingKey;
pub use messages::{Credential, Identity, KEYS_QUEUE, REVOCATIONS, Rejection, Revocation, VERIFY_QUEUE};
pub use token::{PROGRAM_TOKEN_PREFIX, TokenHash, program_token_name};
pub use verifier::Verifier;
pub use verifier_options::VerifierOptions;
