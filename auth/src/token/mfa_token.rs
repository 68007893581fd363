//! The token of a login that still needs a code. It has the state of the login, and is valid for a few minutes and a
//! few wrong codes, while the password and the account stay the same. The server stores nothing about it.

use events::{Account, FREE_WRONG_CODES, SecondFactor, SessionId, Timestamp, UserId};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::opaque_token;
use crate::keys::{Pepper, Purpose};

/// How long the login may wait for the code.
const TTL_SECONDS: i64 = 5 * 60;

const CONTENT_BYTES: usize = 56;
const FINGERPRINT_BYTES: usize = 8;

/// A login that waits for a second factor.
pub(crate) struct MfaToken {
    pub(crate) account: UserId,
    /// The session that the login will begin, once.
    pub(crate) session: SessionId,
    issued_at: Timestamp,
    /// The number of codes that had ever been wrong when it was issued.
    refused_before: u64,
    /// A fingerprint of the account, which changes with its password and when it is disabled.
    fingerprint: [u8; FINGERPRINT_BYTES],
}

impl MfaToken {
    /// Creates it after the password of `account` was shown.
    pub(crate) fn new(account: &Account, factor: &SecondFactor, session: SessionId, now: Timestamp) -> Self {
        Self {
            account: account.id,
            session,
            issued_at: now,
            refused_before: factor.refused_in_all,
            fingerprint: fingerprint(account),
        }
    }

    /// The text for the client.
    pub(crate) fn text(&self, pepper: &Pepper) -> Zeroizing<String> {
        let content = [
            self.account.0.as_bytes().as_slice(),
            self.session.0.as_bytes(),
            &self.issued_at.as_micros().to_be_bytes(),
            &self.refused_before.to_be_bytes(),
            &self.fingerprint,
        ]
        .concat();
        opaque_token::make(Purpose::MfaToken, &content, pepper)
    }

    /// Parses the text of a client; `None` when it was not made here.
    pub(crate) fn parse(text: &str, pepper: &Pepper) -> Option<Self> {
        let content: [u8; CONTENT_BYTES] = opaque_token::read(Purpose::MfaToken, text, pepper)?;
        let (account, rest) = content.split_at(16);
        let (session, rest) = rest.split_at(16);
        let (issued_at, rest) = rest.split_at(8);
        let (refused_before, fingerprint) = rest.split_at(8);
        Some(Self {
            account: UserId(Uuid::from_slice(account).ok()?),
            session: SessionId(Uuid::from_slice(session).ok()?),
            issued_at: Timestamp::from_micros(i64::from_be_bytes(issued_at.try_into().ok()?)),
            refused_before: u64::from_be_bytes(refused_before.try_into().ok()?),
            fingerprint: fingerprint.try_into().ok()?,
        })
    }

    /// Whether it is neither too old nor too new at `now`, whatever has become of the account.
    pub(crate) fn is_in_time(&self, now: Timestamp) -> bool {
        self.issued_at <= now.plus_seconds(Timestamp::CLOCK_LEEWAY_SECONDS)
            && now < self.issued_at.plus_seconds(TTL_SECONDS)
    }

    /// Whether it is valid at `now` for `account`, whose second factor is `factor`.
    pub(crate) fn is_good(&self, account: &Account, factor: &SecondFactor, now: Timestamp) -> bool {
        let wrong_codes = factor.refused_in_all.checked_sub(self.refused_before);
        self.fingerprint == fingerprint(account)
            && self.is_in_time(now)
            && wrong_codes.is_some_and(|wrong| wrong < u64::from(FREE_WRONG_CODES))
    }
}

fn fingerprint(account: &Account) -> [u8; FINGERPRINT_BYTES] {
    let mut hash = Sha256::new_with_prefix(account.password_hash.as_bytes());
    // Otherwise nothing is added, so that logins continue during an upgrade from a release that added nothing.
    if account.times_disabled > 0 {
        hash.update(account.times_disabled.to_be_bytes());
    }
    let mut fingerprint = [0; FINGERPRINT_BYTES];
    fingerprint.copy_from_slice(&hash.finalize()[..FINGERPRINT_BYTES]);
    fingerprint
}
