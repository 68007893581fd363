//! Remembers tokens that auth has just rejected. A rejection is final, so a client that keeps using such a token
//! causes only one check a second.

use dashmap::DashMap;
use events::Timestamp;

use crate::{messages::Rejection, token::TokenHash};

/// The most rejected tokens that are remembered. For others auth is asked.
const CAPACITY: usize = 10_000;
const REMEMBERED_FOR_SECONDS: i64 = 1;

#[derive(Debug, Default)]
pub(crate) struct Refusals(DashMap<TokenHash, (Rejection, Timestamp)>);

impl Refusals {
    pub(crate) fn get(&self, token: TokenHash, now: Timestamp) -> Option<Rejection> {
        let (rejection, at) = *self.0.get(&token)?;
        (at <= now && now < at.plus_seconds(REMEMBERED_FOR_SECONDS)).then_some(rejection)
    }

    pub(crate) fn put(&self, token: TokenHash, rejection: Rejection, now: Timestamp) {
        if self.0.len() >= CAPACITY {
            self.tidy(now);
        }
        if self.0.len() < CAPACITY {
            self.0.insert(token, (rejection, now));
        }
    }

    pub(crate) fn tidy(&self, now: Timestamp) {
        self.0.retain(|_, (_, at)| *at <= now && now < at.plus_seconds(REMEMBERED_FOR_SECONDS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    #[test]
    fn a_refusal_is_remembered_for_a_second() {
        let refusals = Refusals::default();
        let token = TokenHash::of("a");
        refusals.put(token, Rejection::SessionEnded, START);
        assert_eq!(refusals.get(token, START), Some(Rejection::SessionEnded));
        assert_eq!(refusals.get(token, START.plus_seconds(1)), None);
        assert_eq!(refusals.get(token, START.plus_seconds(-1)), None);
        assert_eq!(refusals.get(TokenHash::of("b"), START), None);
    }

    #[test]
    fn it_never_outgrows_its_capacity() {
        let refusals = Refusals::default();
        for number in 0..CAPACITY + 100 {
            refusals.put(TokenHash::of(&number.to_string()), Rejection::SessionEnded, START);
        }
        assert_eq!(refusals.0.len(), CAPACITY);
        let token = TokenHash::of("later");
        refusals.put(token, Rejection::SessionEnded, START.plus_seconds(1));
        assert!(refusals.get(token, START.plus_seconds(1)).is_some());
    }
}
