//! Time-based one-time passwords (RFC 6238): six digits, thirty seconds, HMAC-SHA-1, as in every authenticator app.

use data_encoding::BASE32_NOPAD;
use events::Timestamp;
use ring::hmac;
use zeroize::Zeroizing;

/// 160 bits, as RFC 4226 recommends.
pub(super) const SECRET_BYTES: usize = 20;

const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// The accepted difference of a phone's clock, in time steps.
const DRIFT: u64 = 1;

/// The secret that an authenticator app and auth share.
pub(super) struct TotpSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl TotpSecret {
    pub(super) fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        runtime::fill_random(bytes.as_mut_slice());
        Self(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The secret in base32, to be typed into an app.
    pub(super) fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.bytes()))
    }

    /// The time step of `code`, if it is near `now` and later than `after`.
    pub(super) fn step_of(&self, code: &str, after: Option<u64>, now: Timestamp) -> Option<u64> {
        let current = u64::try_from(now.as_seconds().div_euclid(STEP_SECONDS)).ok()?;
        let steps = current.saturating_sub(DRIFT)..=current.saturating_add(DRIFT);
        let mut found = None;
        // All steps are tried, so that the duration reveals nothing.
        for step in steps {
            let is_it = crate::token::constant_time_eq(self.code(step).as_bytes(), code.as_bytes());
            if is_it && after.is_none_or(|after| step > after) {
                found = Some(step);
            }
        }
        found
    }

    /// RFC 4226, section 5.3.
    fn code(&self, step: u64) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let hash = tag.as_ref();
        let offset = usize::from(hash[hash.len() - 1] & 0x0f);
        let number =
            hash[offset..offset + 4].iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        let number = (number & 0x7fff_ffff) % 10_u32.pow(6);
        Zeroizing::new(format!("{number:0DIGITS$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1, the last six digits of eight.
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(seconds / 30).unwrap();
            assert_eq!(secret.code(step).as_str(), code);
            assert_eq!(secret.step_of(code, None, at(seconds)), Some(step));
        }
        assert_eq!(secret.base32().as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn one_step_of_drift_counts_and_no_code_twice() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        let step_at = |seconds| secret.step_of("050471", None, at(seconds));
        let step = 1_111_111_111 / 30;
        let begins = i64::try_from(step).unwrap() * 30;
        assert_eq!(step_at(begins - 31), None);
        assert_eq!(step_at(begins - 30), Some(step));
        assert_eq!(step_at(begins + 59), Some(step));
        assert_eq!(step_at(begins + 60), None);
        assert_eq!(secret.step_of("050471", Some(step), at(begins)), None);
        assert_eq!(secret.step_of("050471", Some(step - 1), at(begins)), Some(step));
    }

    #[test]
    fn nothing_but_six_digits_is_a_code() {
        let secret = TotpSecret::generate();
        for not in ["", "12345", "1234567", "abcdef"] {
            assert_eq!(secret.step_of(not, None, at(1_800_000_000)), None);
        }
    }
}
