//! Second factors: codes of authenticator apps, recovery codes, and the encryption of their secrets.

mod code_verification;
mod codes;
mod recovery_code;
mod totp;

pub(crate) use codes::{Enrolment, matching};
