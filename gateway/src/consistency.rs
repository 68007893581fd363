//! Remembers the latest state that each caller's commands led to, so that their next read includes it even if they do
//! not send `Consistency-Token`. Each process has its own memory; callers that use several gateways must send the
//! header themselves.

use std::time::Duration;

use events::{ConsistencyToken, UserId};
use http::HeaderMap;
use http_api::CONSISTENCY_TOKEN;
use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};

/// The most callers that are remembered. The one that was inactive for the longest time is removed first.
const CALLERS: u64 = 100_000;
/// How long a state is remembered after the command. Every projection has caught up long before.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// The states that the commands of a caller have led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallerTokens {
    /// The furthest state.
    pub(crate) furthest: ConsistencyToken,
    /// The furthest of the later answers with an earlier position. Usually it is included in the furthest; when the
    /// log has lost its end, it is the state after the restore.
    pub(crate) since: Option<ConsistencyToken>,
}

impl CallerTokens {
    fn with(self, token: ConsistencyToken) -> Self {
        if token.position >= self.furthest.position {
            return token.into();
        }
        let is_further = |since: &ConsistencyToken| since.position >= token.position;
        Self { since: self.since.filter(is_further).or(Some(token)), ..self }
    }

    /// All states to ask for.
    pub(crate) fn tokens(self) -> impl Iterator<Item = ConsistencyToken> {
        [Some(self.furthest), self.since].into_iter().flatten()
    }
}

impl From<ConsistencyToken> for CallerTokens {
    fn from(furthest: ConsistencyToken) -> Self {
        Self { furthest, since: None }
    }
}

/// The latest states of each caller.
#[derive(Clone)]
pub(crate) struct LatestTokens(Cache<UserId, CallerTokens>);

impl LatestTokens {
    pub(crate) fn new() -> Self {
        // The default policy may reject new entries when the cache is full, which would cause an outdated read.
        let policy = EvictionPolicy::lru();
        Self(
            Cache::builder().max_capacity(CALLERS).time_to_live(FORGET_AFTER).eviction_policy(policy).build(),
        )
    }

    /// Remembers the token of the answer to a command of `caller`, if it is about them.
    ///
    /// A command of an admin about someone else changes that person's state, which their own reads need not include.
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

    /// Forgets the furthest state that a read of `caller` asked for, when the answer has an earlier one: then the log
    /// has lost that state, for example by a restore, and it will never come.
    pub(crate) fn forget_lost_state(&self, caller: UserId, asked: CallerTokens, answer: &HeaderMap) {
        let Some(shown) = token_in(answer) else { return };
        let lost = asked.furthest;
        if shown.same_subject(lost) && shown.position < lost.position {
            let drop_it = |known: Option<moka::Entry<UserId, CallerTokens>>| {
                // A command may have led to a further state meanwhile.
                let known = known.map(moka::Entry::into_value).filter(|known| known.furthest == lost);
                match known {
                    None => Op::Nop,
                    Some(CallerTokens { since: None, .. }) => Op::Remove,
                    Some(CallerTokens { since: Some(left), .. }) => Op::Put(left.into()),
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

/// The token of a response.
pub(crate) fn token_in(headers: &HeaderMap) -> Option<ConsistencyToken> {
    headers.get(&CONSISTENCY_TOKEN)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_api::consistency_token;
    use uuid::Uuid;

    use super::*;

    fn answer(token: ConsistencyToken) -> HeaderMap {
        HeaderMap::from_iter([(CONSISTENCY_TOKEN.clone(), consistency_token(token))])
    }

    #[test]
    fn keeps_the_latest_state_of_each_caller_apart() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let memory = LatestTokens::new();
        for position in [5, 9, 7] {
            memory.remember(ann, &answer(ConsistencyToken::new(ann, position)));
        }
        assert_eq!(memory.recall(ann).unwrap().furthest, ConsistencyToken::new(ann, 9));
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
        assert!(memory.recall(ann).is_some(), "it is about the one that was asked for");
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
        // The further state includes the earlier one.
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
        assert_eq!(memory.recall(ann).unwrap().furthest, ConsistencyToken::new(ann, 200));
    }
}
