//! Laws of the codec and the folds, for any event in any order.

use crate::arbitrary::{account_event, event, session_event, task_event, timestamp};
use events::{Account, AccountEvent, Aggregate, Event, Session, SessionEvent, Task, TaskEvent, Timestamp};
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

/// A stream as it might be recorded, also by a build with a bug: any event, any version, any time.
fn history<E: std::fmt::Debug>(
    event: impl Strategy<Value = E>,
) -> impl Strategy<Value = Vec<(E, u64, Timestamp)>> {
    vec((event, any::<u64>(), timestamp()), 0..24)
}

fn fold<A: Aggregate<Id: From<Uuid>>>(events: &[(A::Event, u64, Timestamp)]) -> Option<A> {
    fold_on(None, events)
}

fn fold_on<A: Aggregate<Id: From<Uuid>>>(
    state: Option<A>,
    events: &[(A::Event, u64, Timestamp)],
) -> Option<A> {
    let id = Uuid::nil().into();
    events.iter().fold(state, |state, (event, version, at)| A::evolve(state, &id, event, *version, *at))
}

/// The history from the creating event on. The fold must not depend on events before it.
fn from_creation<E>(events: &[(E, u64, Timestamp)], creates: impl Fn(&E) -> bool) -> &[(E, u64, Timestamp)] {
    let start = events.iter().position(|(event, ..)| creates(event)).unwrap_or(events.len());
    &events[start..]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_what_was_encoded_gives_the_event(event in event()) {
        let encoded = event.encode();
        prop_assert_eq!(encoded.kind, event.kind());
        let decoded = Event::decode(encoded.kind, encoded.schema_version, &encoded.data);
        prop_assert_eq!(decoded.ok(), Some(event));
    }

    #[test]
    fn decoding_any_bytes_is_total(catalogued in any::<prop::sample::Index>(), version in 0_u16..3, data in any::<Vec<u8>>()) {
        let catalog: Vec<_> = Event::catalog().collect();
        let (kind, _) = catalog[catalogued.index(catalog.len())];
        let _ = Event::decode(kind, version, &data);
    }

    #[test]
    fn the_fold_of_a_task_is_total(history in history(task_event())) {
        // A purge leaves nothing of what was before it.
        let purge = history.iter().rposition(|(event, ..)| matches!(event, TaskEvent::Purged(_)));
        let since_purge = &history[purge.unwrap_or(0)..];
        let since_creation = from_creation(since_purge, |event| matches!(event, TaskEvent::Created(_) | TaskEvent::Purged(_)));
        let task = fold::<Task>(&history);
        prop_assert_eq!(task.as_ref().map(|task| task.version), since_creation.last().map(|(_, version, _)| *version));
        prop_assert_eq!(task.as_ref().map(|task| task.updated_at), since_creation.last().map(|(.., at)| *at));
        prop_assert_eq!(task.as_ref().map(|task| task.created_at), since_creation.first().map(|(.., at)| *at));
        prop_assert_eq!(&task, &fold::<Task>(since_creation));
        if let Some(task) = task {
            prop_assert_eq!(task.completed_at.is_some(), task.status == events::Status::Done);
        }
    }

    #[test]
    fn the_fold_of_an_account_is_total(history in history(account_event())) {
        let since_creation = from_creation(&history, |event| matches!(event, AccountEvent::Registered(_) | AccountEvent::Erased(_)));
        let account = fold::<Account>(&history);
        prop_assert_eq!(account.as_ref().map(|account| account.version), since_creation.last().map(|(_, version, _)| *version));
        prop_assert_eq!(account.as_ref().map(|account| account.created_at), since_creation.first().map(|(.., at)| *at));
        prop_assert_eq!(&account, &fold::<Account>(since_creation));
        let erased = since_creation.iter().any(|(event, ..)| matches!(event, AccountEvent::Erased(_)));
        prop_assert_eq!(account.as_ref().is_some_and(|account| account.erased), erased);
        prop_assert!(account.as_ref().is_none_or(|account| account.open_sessions.len() <= events::MAX_OPEN_SESSIONS));
        prop_assert!(account.as_ref().is_none_or(|account| account.program_tokens.len() <= events::MAX_PROGRAM_TOKENS));
        prop_assert!(!(erased && account.is_some_and(|account| account.is_live())));
    }

    #[test]
    fn the_fold_of_a_session_is_total(history in history(session_event()), now in timestamp()) {
        let since_creation = from_creation(&history, |event| matches!(event, SessionEvent::Started(_)));
        let session = fold::<Session>(&history);
        prop_assert_eq!(session.as_ref().map(|session| session.version), since_creation.last().map(|(_, version, _)| *version));
        prop_assert_eq!(session.as_ref().map(|session| session.started_at), since_creation.first().map(|(.., at)| *at));
        prop_assert_eq!(&session, &fold::<Session>(since_creation));
        let end = since_creation.iter().find_map(|(event, _, at)| match event {
            SessionEvent::Ended(ended) => Some((*at, ended.reason)),
            _ => None,
        });
        prop_assert_eq!(session.as_ref().and_then(|session| session.ended), end);
        prop_assert!(!(end.is_some() && session.is_some_and(|session| session.is_live(now))));
    }

    #[test]
    fn folding_in_two_steps_is_folding_in_one(history in history(task_event()), at in any::<prop::sample::Index>()) {
        let (earlier, later) = history.split_at(at.index(history.len() + 1));
        let resumed = fold_on(fold::<Task>(earlier), later);
        prop_assert_eq!(resumed, fold::<Task>(&history));
    }
}
