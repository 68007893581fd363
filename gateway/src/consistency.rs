//! Remembers the latest state that each caller's commands led to, so that their next read shows it even if they
//! know nothing of `Consistency-Token`. It lives in this process; with several front doors, callers that move
//! between them send the header themselves.

use std::time::Duration;

use events::{ConsistencyToken, UserId};
use http::HeaderMap;
use http_api::CONSISTENCY_TOKEN;
use moka::{future::Cache, ops::compute::Op, policy::EvictionPolicy};

/// Callers remembered at most. The one who was away longest goes first.
const CALLERS: u64 = 100_000;
/// By then every projection has long caught up. Counted from the command: reading does not prolong it.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// The latest state of each caller.
#[derive(Clone)]
pub(crate) struct Memory(Cache<UserId, ConsistencyToken>);

impl Memory {
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

    /// Keeps the token of an answer to a command of `caller`, if it is about them and newer than the last.
    ///
    /// A command about someone else, as admins give them, leads to a state of that person, and one header
    /// cannot ask for two states.
    pub(crate) async fn remember(&self, caller: UserId, answer: &HeaderMap) {
        let Some(token) = token_in(answer) else { return };
        if !token.same_subject(ConsistencyToken::new(caller, 0)) {
            return;
        }
        let latest = |known: Option<moka::Entry<UserId, ConsistencyToken>>| {
            let newer = match known.map(moka::Entry::into_value) {
                Some(known) if known.position >= token.position => known,
                _ => token,
            };
            std::future::ready(newer)
        };
        self.0.entry(caller).and_upsert_with(latest).await;
    }

    /// Forgets `asked`, with which a read of `caller` asked for a state, when the answer shows an earlier one: only a
    /// state that the log has lost is passed over so, after a restore for instance, and it never comes.
    pub(crate) async fn settle(&self, caller: UserId, asked: ConsistencyToken, answer: &HeaderMap) {
        let Some(shown) = token_in(answer) else { return };
        if shown.same_subject(asked) && shown.position < asked.position {
            let drop_it = |known: Option<moka::Entry<UserId, ConsistencyToken>>| {
                // A command may have led further meanwhile.
                let same = known.is_some_and(|known| *known.value() == asked);
                std::future::ready(if same { Op::Remove } else { Op::Nop })
            };
            self.0.entry(caller).and_compute_with(drop_it).await;
        }
    }

    /// The state that the commands of `caller` have led to.
    pub(crate) async fn recall(&self, caller: UserId) -> Option<ConsistencyToken> {
        self.0.get(&caller).await
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

    #[tokio::test]
    async fn keeps_the_latest_state_of_each_caller_apart() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let memory = Memory::new();
        for position in [5, 9, 7] {
            memory
                .remember(ann, &answer(ConsistencyToken::new(ann, position)))
                .await;
        }
        assert_eq!(memory.recall(ann).await.unwrap(), ConsistencyToken::new(ann, 9));
        assert_eq!(memory.recall(bob).await, None);
    }

    #[tokio::test]
    async fn keeps_nothing_about_others_and_nothing_malformed() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let memory = Memory::new();
        memory.remember(ann, &answer(ConsistencyToken::new(bob, 3))).await;
        let nonsense =
            HeaderMap::from_iter([(CONSISTENCY_TOKEN.clone(), HeaderValue::from_static("nonsense"))]);
        memory.remember(ann, &nonsense).await;
        memory.remember(ann, &HeaderMap::new()).await;
        assert_eq!(memory.recall(ann).await, None);
        assert_eq!(memory.recall(bob).await, None);
    }

    #[tokio::test]
    async fn a_state_that_the_log_has_lost_is_forgotten_once_an_answer_passes_over_it() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let memory = Memory::new();
        memory
            .remember(ann, &answer(ConsistencyToken::new(ann, 11)))
            .await;
        let asked = memory.recall(ann).await.unwrap();
        for shown in [ConsistencyToken::new(ann, 11), ConsistencyToken::new(bob, 8)] {
            memory.settle(ann, asked, &answer(shown)).await;
            assert!(memory.recall(ann).await.is_some(), "{shown}");
        }
        memory.settle(ann, asked, &HeaderMap::new()).await;
        assert!(memory.recall(ann).await.is_some());
        memory
            .settle(ann, asked, &answer(ConsistencyToken::new(ann, 8)))
            .await;
        assert_eq!(memory.recall(ann).await, None);
        memory.remember(ann, &answer(ConsistencyToken::new(ann, 9))).await;
        memory
            .settle(ann, asked, &answer(ConsistencyToken::new(ann, 8)))
            .await;
        assert!(
            memory.recall(ann).await.is_some(),
            "it is about the one that was asked for"
        );
    }

    #[tokio::test]
    async fn concurrent_commands_leave_the_highest_position() {
        let ann = UserId(Uuid::from_u128(1));
        let memory = Memory::new();
        let commands = (1..=200_u64).rev().map(|position| {
            let memory = memory.clone();
            async move {
                memory
                    .remember(ann, &answer(ConsistencyToken::new(ann, position)))
                    .await
            }
        });
        futures::future::join_all(commands).await;
        assert_eq!(memory.recall(ann).await.unwrap(), ConsistencyToken::new(ann, 200));
    }
}
