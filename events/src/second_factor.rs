//! The second factor of an account: a secret for time-based codes (TOTP, RFC 6238), recovery codes, and the events
//! about them.

use serde::{Deserialize, Serialize};

use crate::{SecretHash, Timestamp};

/// How many codes can be wrong in a row before the next one must wait.
pub const FREE_WRONG_CODES: u32 = 5;
/// After this many wrong codes in a row, codes of the app are refused until a recovery code is right or the factor is
/// set up again (NIST SP 800-63B-4, section 3.2.2).
const MAX_WRONG_CODES: u32 = 100;
/// How long the first wait is; each further wrong code doubles it.
const FIRST_WAIT_SECONDS: i64 = 30;
/// The longest wait that ends by itself.
const MAX_WAIT_SECONDS: i64 = 60 * 60;
/// The wait that is reported while codes of the app are refused without an end.
const WAIT_OF_THE_LOCKED_SECONDS: i64 = 24 * 60 * 60;

/// A second factor was set up. It counts once a code has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorEnrolled {
    /// The secret, sealed under a key that the log does not hold. Empty in what comes from the bus.
    #[serde(default)]
    pub totp_secret: SecretHash,
    /// Hex SHA-256 of each recovery code. Empty in what comes from the bus.
    #[serde(default)]
    pub recovery_hashes: Vec<SecretHash>,
}

/// A code has shown that the person has the secret. From now on a login needs a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorConfirmed {
    /// The time step of the code, which does not count again.
    pub step: u64,
}

/// The second factor was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorRemoved {}

/// A right code was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorPassed {
    /// The code that was used up.
    pub code: UsedCode,
}

/// A wrong code was shown after the right password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorRefused {}

/// A code that was used and is not accepted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsedCode {
    /// The code of this time step. Codes of earlier steps are not accepted any more either.
    Totp(u64),
    /// The recovery code with this index, from 0.
    Recovery(usize),
}

/// The second factor as the account knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// The sealed secret.
    pub totp_secret: SecretHash,
    /// The hash of each recovery code; `None` for one that was used.
    pub recovery_hashes: Vec<Option<SecretHash>>,
    /// The time step of the last code that counted; `None` before the factor was confirmed.
    pub last_step: Option<u64>,
    /// How many codes were wrong since the last right one.
    pub refused_in_row: u32,
    /// How many codes were ever wrong.
    pub refused_in_all: u64,
    /// When the last code was wrong.
    pub last_refused_at: Option<Timestamp>,
}

impl SecondFactor {
    /// The state after the enrolment.
    pub fn enrolled(enrolled: &SecondFactorEnrolled) -> Self {
        Self {
            totp_secret: enrolled.totp_secret.clone(),
            recovery_hashes: enrolled.recovery_hashes.iter().cloned().map(Some).collect(),
            last_step: None,
            refused_in_row: 0,
            refused_in_all: 0,
            last_refused_at: None,
        }
    }

    /// Whether a login needs it.
    pub const fn is_confirmed(&self) -> bool {
        self.last_step.is_some()
    }

    /// The number of seconds from `now` during which codes of the app are refused; 0 when they are accepted.
    pub fn wait_seconds(&self, now: Timestamp) -> i64 {
        if self.refused_in_row >= MAX_WRONG_CODES {
            return WAIT_OF_THE_LOCKED_SECONDS;
        }
        let (Some(last), Some(doublings)) =
            (self.last_refused_at, self.refused_in_row.checked_sub(FREE_WRONG_CODES))
        else {
            return 0;
        };
        // The process that recorded it had a clock that is ahead, and everything after it has that time, too. The wait
        // would not end before then. The limit of wrong codes in a row still holds.
        if last > now.plus_seconds(Timestamp::CLOCK_LEEWAY_SECONDS) {
            return 0;
        }
        let wait = (FIRST_WAIT_SECONDS << doublings.min(16)).min(MAX_WAIT_SECONDS);
        let left = last.plus_seconds(wait).as_micros() - now.as_micros();
        // Rounded up, so that a client that waits this many seconds is accepted. It is longer than the wait only when
        // the clock of the process that recorded the code is ahead within the tolerance.
        let left = left.max(0).saturating_add(999_999).div_euclid(1_000_000);
        left.min(wait)
    }

    pub(crate) fn pass(&mut self, code: UsedCode) {
        self.refused_in_row = 0;
        match code {
            UsedCode::Totp(step) => self.last_step = self.last_step.max(Some(step)),
            UsedCode::Recovery(place) => {
                if let Some(hash) = self.recovery_hashes.get_mut(place) {
                    *hash = None;
                }
            }
        }
    }

    pub(crate) fn refuse(&mut self, at: Timestamp) {
        self.refused_in_row = self.refused_in_row.saturating_add(1);
        self.refused_in_all = self.refused_in_all.saturating_add(1);
        self.last_refused_at = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_codes_are_free_and_then_each_doubles_the_wait_up_to_an_hour() {
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        let mut factor = SecondFactor::enrolled(&SecondFactorEnrolled {
            totp_secret: "sealed".into(),
            recovery_hashes: Vec::new(),
        });
        let waits: Vec<_> = (0..14)
            .map(|_| {
                factor.refuse(start);
                factor.wait_seconds(start)
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
        assert_eq!(factor.wait_seconds(start.plus_seconds(3_599)), 1);
        assert_eq!(factor.wait_seconds(start.plus_seconds(3_600)), 0);
        factor.pass(UsedCode::Totp(1));
        assert_eq!((factor.wait_seconds(start), factor.refused_in_all), (0, 14));
    }

    #[test]
    fn a_wait_from_a_clock_that_is_ahead_is_no_longer_than_any_other() {
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        let mut factor = SecondFactor::enrolled(&SecondFactorEnrolled {
            totp_secret: "sealed".into(),
            recovery_hashes: Vec::new(),
        });
        let ahead = start.plus_seconds(Timestamp::CLOCK_LEEWAY_SECONDS);
        for _ in 0..FREE_WRONG_CODES {
            factor.refuse(ahead);
        }
        assert_eq!(factor.wait_seconds(start), FIRST_WAIT_SECONDS);
        assert_eq!(factor.wait_seconds(ahead.plus_seconds(FIRST_WAIT_SECONDS)), 0);
        // What a clock that is a day ahead has recorded delays nobody for a day, however many codes follow.
        for refused_in_row in FREE_WRONG_CODES + 1..MAX_WRONG_CODES {
            factor.refuse(start.plus_seconds(86_400));
            let waits = [0, 30, 3_600].map(|seconds| factor.wait_seconds(start.plus_seconds(seconds)));
            assert_eq!((factor.refused_in_row, waits), (refused_in_row, [0; 3]));
        }
        factor.refuse(start.plus_seconds(86_400));
        assert_eq!(factor.wait_seconds(start), WAIT_OF_THE_LOCKED_SECONDS);
    }

    #[test]
    fn a_hundred_wrong_codes_in_a_row_end_the_attempts_until_a_recovery_code_is_right() {
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        let mut factor = SecondFactor::enrolled(&SecondFactorEnrolled {
            totp_secret: "sealed".into(),
            recovery_hashes: vec!["a".into()],
        });
        let years_later = start.plus_seconds(100_000_000);
        for _ in 1..MAX_WRONG_CODES {
            factor.refuse(start);
        }
        assert_eq!(factor.wait_seconds(years_later), 0);
        factor.refuse(start);
        assert_eq!(factor.wait_seconds(years_later), 86_400);
        factor.pass(UsedCode::Recovery(0));
        assert_eq!(factor.wait_seconds(start), 0);
    }
}
