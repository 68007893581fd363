//! Which code of a second factor somebody shows, and what a new one consists of.

use events::{Account, SecondFactor, SecondFactorEnrolled, Timestamp, UsedCode, UserId};
use zeroize::Zeroizing;

use super::{recovery, sealing::Sealing, totp::TotpSecret};

/// A new second factor: what the person gets, once, and what the log gets.
pub(crate) struct Enrolment {
    /// As people type it into their app.
    pub(crate) secret: Zeroizing<String>,
    /// The codes for when the phone is gone.
    pub(crate) recovery_codes: Vec<Zeroizing<String>>,
    pub(crate) event: SecondFactorEnrolled,
}

impl Enrolment {
    /// For `account`. `None` if the secret cannot be sealed.
    pub(crate) fn generate(account: UserId, sealing: &Sealing) -> Option<Self> {
        let secret = TotpSecret::generate();
        let recovery_codes = recovery::generate();
        Some(Self {
            secret: secret.base32(),
            event: SecondFactorEnrolled {
                totp_secret: sealing.seal(account, secret.bytes())?,
                recovery_hashes: recovery_codes
                    .iter()
                    .filter_map(|code| recovery::hash(code))
                    .collect(),
            },
            recovery_codes,
        })
    }
}

/// The code of `factor` that `shown` is, if it is one that still counts at `now`.
pub(crate) fn matching(
    sealing: &Sealing,
    account: &Account,
    factor: &SecondFactor,
    shown: &str,
    now: Timestamp,
) -> Option<UsedCode> {
    if let Some(hash) = recovery::hash(shown) {
        let mut hashes = factor.recovery_hashes.iter();
        return hashes
            .position(|known| known.as_ref() == Some(&hash))
            .map(UsedCode::Recovery);
    }
    let opened = sealing.open(account.id, &factor.totp_secret);
    let Some(secret) = opened.and_then(|bytes| TotpSecret::from_bytes(&bytes)) else {
        tracing::error!(account.id = %account.id, "the secret of a second factor cannot be opened");
        return None;
    };
    // Apps show the digits in groups.
    let digits: Zeroizing<String> = Zeroizing::new(shown.chars().filter(|c| !c.is_whitespace()).collect());
    secret.step_of(&digits, factor.last_step, now).map(UsedCode::Totp)
}
