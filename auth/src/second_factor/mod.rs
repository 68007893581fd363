//! Second factors: codes of authenticator apps, recovery codes, and the encryption of their secrets.

mod codes;
mod judging;
mod recovery;
mod sealing;
mod totp;

pub(crate) use codes::{Enrolment, matching};
pub(crate) use sealing::Sealing;
