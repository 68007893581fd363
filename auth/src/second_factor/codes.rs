//! Recognises the codes of a second factor, and generates new factors.

use events::{Account, SecondFactor, SecondFactorEnrolled, Timestamp, UsedCode, UserId};
use zeroize::Zeroizing;

use super::{recovery_code, totp::TotpSecret};
use crate::keys::AccountCipher;

/// A new second factor: the part for the person, and the part for the log.
pub(crate) struct Enrolment {
    /// The secret, to be typed into an app.
    pub(crate) secret: Zeroizing<String>,
    /// The recovery codes for a lost phone.
    pub(crate) recovery_codes: Vec<Zeroizing<String>>,
    pub(crate) event: SecondFactorEnrolled,
}

impl Enrolment {
    /// Generates a factor for `account`; `None` if the secret cannot be encrypted.
    pub(crate) fn generate(account: UserId, cipher: &AccountCipher) -> Option<Self> {
        let secret = TotpSecret::generate();
        let recovery_codes = recovery_code::generate();
        Some(Self {
            secret: secret.base32(),
            event: SecondFactorEnrolled {
                totp_secret: cipher.encrypt(account, secret.bytes())?,
                recovery_hashes: recovery_codes.iter().filter_map(|code| recovery_code::hash(code)).collect(),
            },
            recovery_codes,
        })
    }
}

/// The code of `factor` that equals `shown`, if it is valid at `now`.
pub(crate) fn matching(
    cipher: &AccountCipher,
    account: &Account,
    factor: &SecondFactor,
    shown: &str,
    now: Timestamp,
) -> Option<UsedCode> {
    if let Some(hash) = recovery_code::hash(shown) {
        let mut hashes = factor.recovery_hashes.iter();
        return hashes.position(|known| known.as_ref() == Some(&hash)).map(UsedCode::Recovery);
    }
    let opened = cipher.decrypt(account.id, &factor.totp_secret);
    let Some(secret) = opened.and_then(|bytes| TotpSecret::from_bytes(&bytes)) else {
        tracing::error!(account.id = %account.id, "the secret of a second factor cannot be opened");
        return None;
    };
    // Apps show the digits in groups.
    let digits: Zeroizing<String> = Zeroizing::new(shown.chars().filter(|c| !c.is_whitespace()).collect());
    secret.step_of(&digits, factor.last_step, now).map(UsedCode::Totp)
}
