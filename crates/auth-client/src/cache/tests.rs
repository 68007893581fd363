//! What is cached about tokens, and for how long.

use std::collections::BTreeSet;

use events::Role;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::messages::Credential;

const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// The cache of a process that listens to revocations.
fn cache(capacity: usize) -> Cache {
    let cache = Cache::new(capacity, Duration::from_secs(30), Duration::from_secs(2));
    cache.listens();
    cache
}

fn identity(user: u128, session: u128) -> Arc<Identity> {
    Arc::new(Identity {
        user_id: UserId(Uuid::from_u128(user)),
        credential: Credential::Session(SessionId(Uuid::from_u128(session))),
        email: "ada@example.com".into(),
        roles: BTreeSet::from([Role::User]),
        expires_at: START.plus_seconds(900),
    })
}

fn token(number: usize) -> TokenHash {
    TokenHash::of(&number.to_string())
}

#[test]
fn an_answer_is_kept_for_thirty_seconds() {
    let cache = cache(10);
    cache.put(token(1), identity(1, 1), cache.epoch(), START);
    assert!(cache.get(token(1), START.plus_seconds(29)).is_some());
    assert!(cache.get(token(2), START).is_none());
    assert!(cache.get(token(1), START.plus_seconds(30)).is_none());
    assert_eq!(cache.len(), 0);
}

#[test]
fn an_answer_is_never_kept_longer_than_its_token_lives() {
    let cache = cache(10);
    cache.put(token(1), identity(1, 1), cache.epoch(), START.plus_seconds(890));
    assert!(cache.get(token(1), START.plus_seconds(899)).is_some());
    assert!(cache.get(token(1), START.plus_seconds(900)).is_none());
}

#[test]
fn nothing_is_kept_before_revocations_are_heard() {
    let cache = Cache::new(10, Duration::from_secs(30), Duration::from_secs(2));
    // As when a signing key is removed.
    cache.clear();
    let deaf = cache.epoch();
    cache.put(token(1), identity(1, 1), deaf, START);
    cache.listens();
    cache.put(token(2), identity(2, 2), deaf, START);
    assert_eq!(cache.len(), 0, "a revocation may have been missed");
    cache.put(token(1), identity(1, 1), cache.epoch(), START);
    assert!(cache.get(token(1), START).is_some());
    cache.stops_listening();
    cache.put(token(1), identity(1, 1), cache.epoch(), START);
    assert_eq!(cache.len(), 0, "a revocation may be missed");
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_prolongs_nothing() {
    let cache = cache(10);
    cache.put(token(1), identity(1, 1), cache.epoch(), START);
    assert!(cache.get(token(1), START.plus_seconds(-1)).is_none());
    cache.put(token(1), identity(1, 1), cache.epoch(), START);
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(cache.get(token(1), START.plus_seconds(1)).is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(cache.get(token(1), START.plus_seconds(1)).is_none());
}

#[test]
fn a_revocation_drops_its_session_or_account_and_nothing_else() {
    let cache = cache(10);
    for (number, user, session) in [(1, 1, 11), (2, 1, 12), (3, 2, 21)] {
        cache.put(token(number), identity(user, session), cache.epoch(), START);
    }
    cache.revoke(Revocation::Session(SessionId(Uuid::from_u128(11))), START);
    assert!(cache.get(token(1), START).is_none());
    assert!(cache.get(token(2), START).is_some());
    cache.revoke(Revocation::Account(UserId(Uuid::from_u128(1))), START);
    assert!(cache.get(token(2), START).is_none());
    assert!(cache.get(token(3), START).is_some());
}

#[test]
fn an_answer_asked_for_before_the_revocation_is_not_kept() {
    let cache = cache(10);
    let before = cache.epoch();
    cache.revoke(Revocation::Session(SessionId(Uuid::from_u128(11))), START);
    cache.put(token(1), identity(1, 11), before, START);
    assert!(cache.get(token(1), START).is_none());
    // An answer to a later check is valid again, for example after a role was granted.
    cache.put(token(1), identity(1, 11), cache.epoch(), START);
    assert!(cache.get(token(1), START).is_some());
}

#[test]
fn a_gap_forgets_everything_also_what_is_under_way() {
    let cache = cache(10);
    cache.put(token(1), identity(1, 1), cache.epoch(), START);
    let before = cache.epoch();
    cache.clear();
    cache.put(token(2), identity(2, 2), before, START);
    assert!(cache.get(token(1), START).is_none());
    assert!(cache.get(token(2), START).is_none());
    cache.put(token(2), identity(2, 2), cache.epoch(), START);
    assert!(cache.get(token(2), START).is_some());
}

#[test]
fn revocations_are_forgotten_once_no_older_answer_can_exist() {
    let cache = cache(10);
    cache.revoke(Revocation::Session(SessionId(Uuid::from_u128(1))), START);
    cache.tidy(START.plus_seconds(32));
    assert_eq!(cache.sessions.len(), 1);
    cache.tidy(START.plus_seconds(40));
    assert_eq!(cache.sessions.len(), 0);
}

#[test]
fn a_flood_of_revocations_clears_the_cache_instead_of_growing() {
    let cache = cache(10);
    cache.put(token(1), identity(1, 1), cache.epoch(), START);
    for number in 100..150 {
        cache.revoke(Revocation::Session(SessionId(Uuid::from_u128(number))), START);
    }
    assert!(cache.sessions.len() <= 10);
    assert!(cache.get(token(1), START).is_none());
}

#[test]
fn expired_answers_make_room_first() {
    let cache = cache(10);
    for number in 0..9 {
        cache.put(token(number), identity(1, 1), cache.epoch(), START);
    }
    let later = START.plus_seconds(31);
    cache.put(token(100), identity(1, 1), cache.epoch(), later);
    cache.put(token(101), identity(1, 1), cache.epoch(), later);
    assert!(cache.get(token(100), later).is_some());
    assert!(cache.get(token(101), later).is_some());
    assert_eq!(cache.len(), 2);
}

proptest! {
    #[test]
    fn it_never_outgrows_its_capacity(capacity in 1usize..40, count in 0usize..200) {
        let cache = cache(capacity);
        for number in 0..count {
            cache.put(token(number), identity(1, number as u128), cache.epoch(), START);
            prop_assert!(cache.get(token(number), START).is_some(), "the newest is always kept");
            prop_assert!(cache.len() <= capacity);
        }
    }
}
