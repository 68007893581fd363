//! Second factors: the codes of authenticator apps, recovery codes, and how their secrets are kept.

mod codes;
mod judging;
mod recovery;
mod sealing;
mod totp;

pub(crate) use codes::{Enrolment, matching};
pub(crate) use sealing::Sealing;
