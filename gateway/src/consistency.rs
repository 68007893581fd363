//! Remembers the latest state that each caller's commands led to, so that their next read shows it even if they
//! know nothing of `Consistency-Token`. It lives in this process; with several front doors, callers that move
//! between them send the header themselves.

use std::time::Duration;

use events::{ConsistencyToken, UserId};
use http::HeaderMap;
use http_api::CONSISTENCY_TOKEN;
use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};

/// Callers remembered at most. The one who was away longest goes first.
const CALLERS: u64 = 100_000;
/// By then every projection has long caught up. Counted from the command: reading does not prolong it.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// What the commands of one caller have led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallerTokens {
    /// The furthest.
    pub(crate) furthest: ConsistencyToken,
    /// The furthest of those that came after it and are not as far. Mostly it is a part of the furthest, whose answer was
    /// faster; when the log has lost its end it is what comes after the restore.
    pub(crate) since: Option<ConsistencyToken>,
}

impl CallerTokens {
    fn with(self, token: ConsistencyToken) -> Self {
        if token.position >= self.furthest.position {
            return token.into();
        }
        let is_further = |since: &ConsistencyToken| since.position >= token.position;
        Self {
            since: self.since.filter(is_further).or(Some(token)),
            ..self
        }
    }

    /// All that is to be asked for.
    pub(crate) fn tokens(self) -> impl Iterator<Item = ConsistencyToken> {
        [Some(self.furthest), self.since].into_iter().flatten()
    }
}

impl From<ConsistencyToken> for CallerTokens {
    fn from(furthest: ConsistencyToken) -> Self {
        Self {
            furthest,
            since: None,
        }
    }
}

/// The latest states of each caller.
#[derive(Clone)]
pub(crate) struct LatestTokens(Cache<UserId, CallerTokens>);

impl LatestTokens {
    pub(crate) fn new() -> Self {
        // The default policy may decline newcomers when full; a token that is declined is a stale read.
        let policy = EvictionPolicy::lru();
        Self(
            Cache::builder()
                .max_capacity(CALLERS)
                .time_to_live(FORGET_AFTER)
                .eviction_policy(policy)
                .build(),
        )
    }

    /// Keeps the token of an answer to a command of `caller`, if it is about them.
    ///
    /// A command about someone else, as admins give them, leads to a state of that person, and one header
    /// cannot ask for two states.
    pub(crate) fn remember(&self, caller: UserId, answer: &HeaderMap) {
        let Some(token) = token_in(answer) else { return };
        if !token.same_subject(ConsistencyToken::new(caller, 0)) {
            return;
        }
        let latest = |known: Option<moka::Entry<UserId, CallerTokens>>| {
            known.map_or_else(|| token.into(), |known| known.into_value().with(token))
        };
        self.0.entry(caller).and_upsert_with(latest);
    }

    /// Forgets the furthest state that a read of `caller` asked for, when the answer shows an earlier one: only a state that the
    /// log has lost is passed over so, after a restore for instance, and it never comes.
    pub(crate) fn forget_lost_state(&self, caller: UserId, asked: CallerTokens, answer: &HeaderMap) {
        let Some(shown) = token_in(answer) else { return };
        let lost = asked.furthest;
        if shown.same_subject(lost) && shown.position < lost.position {
            let drop_it = |known: Option<moka::Entry<UserId, CallerTokens>>| {
                // A command may have led further meanwhile.
                let known = known
                    .map(moka::Entry::into_value)
                    .filter(|known| known.furthest == lost);
                match known {
                    None => Op::Nop,
                    Some(CallerTokens { since: None, .. }) => Op::Remove,
                    Some(CallerTokens {
                        since: Some(left), ..
                    }) => Op::Put(left.into()),
                }
            };
            self.0.entry(caller).and_compute_with(drop_it);
        }
    }

    /// The states that the commands of `caller` have led to.
    pub(crate) fn recall(&self, caller: UserId) -> Option<CallerTokens> {
        self.0.get(&caller)
    }
}

/// The token that a response carries.
pub(crate) fn token_in(headers: &HeaderMap) -> Option<ConsistencyToken> {
    headers.get(&CONSISTENCY_TOKEN)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use uuid::Uuid;

    use super::*;

    fn answer(token: ConsistencyToken) -> HeaderMap {
        HeaderMap::from_iter([(
            CONSISTENCY_TOKEN.clone(),
            HeaderValue::from_str(&token.to_string()).unwrap(),
        )])
    }

    #[test]
    fn keeps_the_latest_state_of_each_caller_apart() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let memory = LatestTokens::new();
        for position in [5, 9, 7] {
            memory.remember(ann, &answer(ConsistencyToken::new(ann, position)));
        }
        assert_eq!(
            memory.recall(ann).unwrap().furthest,
            ConsistencyToken::new(ann, 9)
        );
        assert_eq!(memory.recall(bob), None);
    }

    #[test]
    fn keeps_nothing_about_others_and_nothing_malformed() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let memory = LatestTokens::new();
        memory.remember(ann, &answer(ConsistencyToken::new(bob, 3)));
        let nonsense =
            HeaderMap::from_iter([(CONSISTENCY_TOKEN.clone(), HeaderValue::from_static("nonsense"))]);
        memory.remember(ann, &nonsense);
        memory.remember(ann, &HeaderMap::new());
        assert_eq!(memory.recall(ann), None);
        assert_eq!(memory.recall(bob), None);
    }

    #[test]
    fn a_state_that_the_log_has_lost_is_forgotten_once_an_answer_passes_over_it() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let memory = LatestTokens::new();
        memory.remember(ann, &answer(ConsistencyToken::new(ann, 11)));
        let asked = memory.recall(ann).unwrap();
        for shown in [ConsistencyToken::new(ann, 11), ConsistencyToken::new(bob, 8)] {
            memory.forget_lost_state(ann, asked, &answer(shown));
            assert!(memory.recall(ann).is_some(), "{shown}");
        }
        memory.forget_lost_state(ann, asked, &HeaderMap::new());
        assert!(memory.recall(ann).is_some());
        memory.forget_lost_state(ann, asked, &answer(ConsistencyToken::new(ann, 8)));
        assert_eq!(memory.recall(ann), None);
        memory.remember(ann, &answer(ConsistencyToken::new(ann, 9)));
        memory.forget_lost_state(ann, asked, &answer(ConsistencyToken::new(ann, 8)));
        assert!(
            memory.recall(ann).is_some(),
            "it is about the one that was asked for"
        );
    }

    #[test]
    fn a_command_after_the_log_has_lost_its_end_is_asked_for_beside_what_was_lost() {
        let ann = UserId(Uuid::from_u128(1));
        let memory = LatestTokens::new();
        for position in [100, 95, 97, 96] {
            memory.remember(ann, &answer(ConsistencyToken::new(ann, position)));
        }
        let asked = memory.recall(ann).unwrap();
        let positions: Vec<u64> = asked.tokens().map(|token| token.position).collect();
        assert_eq!(positions, [100, 97]);
        memory.forget_lost_state(ann, asked, &answer(ConsistencyToken::new(ann, 97)));
        let left = memory.recall(ann).unwrap();
        assert_eq!(left, ConsistencyToken::new(ann, 97).into());
        // What goes further stands for what is not as far.
        memory.remember(ann, &answer(ConsistencyToken::new(ann, 98)));
        let asked = memory.recall(ann).unwrap();
        assert_eq!(asked, ConsistencyToken::new(ann, 98).into());
    }

    #[test]
    fn concurrent_commands_leave_the_highest_position() {
        let ann = UserId(Uuid::from_u128(1));
        let memory = LatestTokens::new();
        std::thread::scope(|scope| {
            for position in (1..=200_u64).rev() {
                let memory = &memory;
                scope.spawn(move || memory.remember(ann, &answer(ConsistencyToken::new(ann, position))));
            }
        });
        assert_eq!(
            memory.recall(ann).unwrap().furthest,
            ConsistencyToken::new(ann, 200)
        );
    }
}
