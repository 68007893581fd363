//! The promises about encrypted events and the keys of people, for any database.

mod followed_erasures;
pub(crate) mod retired_master_keys;
mod revived_keys;
mod unusable_keys;

use std::sync::{Arc, atomic::Ordering};

use database::Database;
use event_store::{EventStore, StoreError};
use events::{
    Actor, ERASED, Encoding, Event, EventId, Metadata, NewEvent, RecordedEvent, StreamName, TaskEvent,
    TaskRenamed, Timestamp, UserId,
};
use runtime::SystemClock;
use sealing::{KeyError, MasterKeys, SealedStore, SubjectKeys};
use test_support::{FaultyStore, eventually, read_all};
use uuid::Uuid;

pub(crate) use followed_erasures::whoever_was_erased_is_found_when_their_key_is_put_back;
pub(crate) use retired_master_keys::a_process_that_is_behind_makes_no_key_after_the_old_master_key_is_retired;
pub(crate) use revived_keys::{
    a_key_under_a_retired_master_key_is_named_before_any_is_copied,
    it_is_known_of_very_many_people_who_has_a_key, keys_are_copied_after_their_master_key_was_retired,
    who_was_erased_and_has_a_key_again_is_found, who_was_erased_gets_no_key_by_a_copy,
};
pub(crate) use unusable_keys::{
    a_lost_key_is_not_replaced, a_lost_key_is_not_replaced_where_an_account_begins_in_clear,
    an_unusable_key_is_one_unreadable_record, readiness_asks_whether_keys_can_be_made,
    without_the_keys_nothing_is_appended,
};

const TITLE: &str = "Call Dr. Ames about the results";
const REQUEST: &str = "ada@example.org";

/// An empty log and an empty database of keys.
pub(crate) struct Place {
    pub(crate) log: Arc<dyn EventStore>,
    pub(crate) database: Database,
}

/// Defines the tests, each with its own databases, which `$place().await` creates.
macro_rules! promises {
    ($place:path) => {
        suite::promises!($place,
            the_log_holds_nothing_personal what_is_erased_gives_placeholders processes_agree_on_one_key
            two_first_events_of_a_person_lose_no_key a_key_is_never_made_again what_was_moved_does_not_open an_unusable_key_is_one_unreadable_record
            a_lost_key_is_not_replaced a_lost_key_is_not_replaced_where_an_account_begins_in_clear readiness_asks_whether_keys_can_be_made rotation_wraps_every_key_again
            nobody_wraps_with_a_master_key_before_it_is_rotated a_key_under_an_absent_master_key_is_one_unreadable_record
            a_master_key_is_registered_beside_a_gap another_master_key_is_refused what_comes_sealed_over_the_bus_is_opened
            without_the_keys_nothing_is_appended clear_events_of_before_are_read
            whoever_was_erased_is_found_when_their_key_is_put_back
            a_process_that_is_behind_makes_no_key_after_the_old_master_key_is_retired
            who_was_erased_and_has_a_key_again_is_found who_was_erased_gets_no_key_by_a_copy
            keys_are_copied_after_their_master_key_was_retired
            a_key_under_a_retired_master_key_is_named_before_any_is_copied
            it_is_known_of_very_many_people_who_has_a_key
        );
    };
    ($place:path, $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (place, _kept) = $place().await;
                suite::$name(place).await;
            }
        )+
    };
}
pub(crate) use promises;

fn master_keys(digits: &[&str]) -> MasterKeys {
    let text: Vec<String> = digits.iter().map(|digits| digits.repeat(32)).collect();
    MasterKeys::from_setting("the test", &text.join(",")).unwrap()
}

pub(crate) fn renamed(subject: UserId) -> NewEvent {
    TaskEvent::from(TaskRenamed { title: TITLE.into() }).encode().into_event(
        EventId(Uuid::now_v7()),
        Metadata {
            subject,
            actor: Actor::User(subject),
            correlation_id: REQUEST.into(),
            causation_id: Uuid::now_v7(),
            traceparent: None,
            idempotency_key: Some(REQUEST.into()),
        },
        Timestamp::from_micros(1_780_000_000_123_456),
    )
}

pub(crate) fn stream() -> StreamName {
    StreamName::raw("task-1")
}

fn title(event: &RecordedEvent) -> String {
    match Event::try_from(event) {
        Ok(Event::Task(TaskEvent::Renamed(renamed))) => renamed.title,
        other => panic!("not a renamed task: {other:?}"),
    }
}

impl Place {
    pub(crate) async fn keys_with(&self, digits: &[&str]) -> Result<SubjectKeys, KeyError> {
        SubjectKeys::open(self.database.clone(), master_keys(digits), Arc::new(SystemClock)).await
    }

    /// The keys as another process has them.
    pub(crate) async fn keys(&self) -> SubjectKeys {
        self.keys_with(&["ab"]).await.unwrap()
    }

    fn sealed(&self, keys: &SubjectKeys) -> Arc<SealedStore> {
        SealedStore::over(Arc::clone(&self.log), keys.clone())
    }

    /// The log as a process with these keys reads it.
    async fn read(&self, keys: &SubjectKeys) -> Vec<RecordedEvent> {
        read_all(&*self.sealed(keys), 0, 10).await
    }

    /// A new person with one event.
    pub(crate) async fn person(&self, keys: &SubjectKeys) -> UserId {
        self.try_person(keys).await.unwrap()
    }

    pub(crate) async fn try_person(&self, keys: &SubjectKeys) -> Result<UserId, StoreError> {
        let subject = UserId(Uuid::now_v7());
        let head = self.log.stream_head(&stream()).await?;
        let version = head.map_or(0, |head| head.version);
        let event = vec![renamed(subject)];
        self.sealed(keys).append(&stream(), version, event).await?;
        Ok(subject)
    }

    /// Runs `sql` on the row of a person's key.
    async fn strike(&self, sql: &str, subject: UserId) {
        assert_eq!(self.database.execute(sql, &[subject.0.into()]).await.unwrap(), 1);
    }

    /// The wrapped key of somebody, if there is one.
    pub(crate) async fn wrapped(&self, subject: UserId) -> Option<Vec<u8>> {
        let sql = "SELECT wrapped FROM data_keys WHERE subject = $1";
        let row = self.database.fetch_optional(sql, &[subject.0.into()]).await.unwrap();
        row.and_then(|row| row.optional_bytes(0).unwrap())
    }
}

pub(crate) async fn the_log_holds_nothing_personal(place: Place) {
    let keys = place.keys().await;
    let store = place.sealed(&keys);
    place.person(&keys).await;
    let stored = store.stored_page(0, 10).await.unwrap().events.remove(0);
    for part in [stored.data.whole().unwrap(), &stored.metadata] {
        let text = String::from_utf8_lossy(part);
        assert!(!text.contains(TITLE) && !text.contains(REQUEST), "{text}");
    }
    assert_eq!(stored.encoding, "sealed");
    let read = place.read(&keys).await.remove(0);
    assert_eq!((read.encoding, title(&read).as_str()), (Encoding::Json, TITLE));
    assert_eq!(&*read.metadata.correlation_id, REQUEST);
    assert_eq!(read.metadata.idempotency_key.as_deref(), Some(REQUEST));
    // A reader that forgets to decrypt it does not take the encrypted part for absent.
    let raw = read_all(&*place.log, 0, 10).await.remove(0);
    assert!(Event::try_from(&raw).unwrap_err().to_string().contains("is sealed"));
}

pub(crate) async fn what_is_erased_gives_placeholders(place: Place) {
    let keys = place.keys().await;
    let store = place.sealed(&keys);
    let erased = place.person(&keys).await;
    place.person(&keys).await;
    keys.destroy(erased).await.unwrap();
    keys.destroy(erased).await.unwrap();
    // In this process at once, and in every one that starts later.
    for keys in [keys, place.keys().await] {
        let read = place.read(&keys).await;
        assert_eq!([title(&read[0]).as_str(), &title(&read[1])], [ERASED, TITLE]);
        assert_eq!(&*read[0].metadata.correlation_id, ERASED);
        assert_eq!(&*read[1].metadata.correlation_id, REQUEST);
    }
    // A late event about an erased person is appended, and says nothing either.
    store.append(&stream(), 2, vec![renamed(erased)]).await.unwrap();
    let read = read_all(&*store, 2, 10).await;
    assert_eq!(title(&read[0]), ERASED);
    let stored = store.stored_page(2, 10).await.unwrap().events.remove(0);
    assert!(!String::from_utf8_lossy(stored.data.whole().unwrap()).contains(TITLE));
}

pub(crate) async fn processes_agree_on_one_key(place: Place) {
    let subject = UserId(Uuid::now_v7());
    let mut tasks = Vec::new();
    for number in 0..8 {
        let store = place.sealed(&place.keys().await);
        let stream = StreamName::raw(format!("task-{number}"));
        tasks.push(tokio::spawn(async move {
            store.append(&stream, 0, vec![renamed(subject)]).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let read = place.read(&place.keys().await).await;
    assert_eq!(read.len(), 8);
    assert!(read.iter().all(|event| title(event) == TITLE));
}

pub(crate) async fn a_key_is_never_made_again(place: Place) {
    let keys = place.keys().await;
    let never_seen = UserId(Uuid::now_v7());
    keys.destroy(never_seen).await.unwrap();
    let other = place.keys().await;
    place.sealed(&other).append(&stream(), 0, vec![renamed(never_seen)]).await.unwrap();
    assert_eq!(place.wrapped(never_seen).await, None);
    let read = place.read(&other).await;
    assert_eq!(title(&read[0]), ERASED);
}

/// Someone who can write to the log cannot show a person's text at another place, under another type, or as another
/// person's.
pub(crate) async fn what_was_moved_does_not_open(place: Place) {
    let keys = place.keys().await;
    let store = place.sealed(&keys);
    let (ada, bob) = (place.person(&keys).await, place.person(&keys).await);
    let raw = read_all(&*place.log, 0, 10).await.remove(0);
    assert_eq!(raw.metadata.subject, ada);
    let moves: [fn(&mut RecordedEvent, UserId); 6] = [
        |event, _| event.version += 1,
        |event, _| event.stream = StreamName::raw("task-2"),
        |event, _| event.kind = "task.created".to_owned(),
        |event, bob| event.metadata.subject = bob,
        |event, _| event.data = r#"{"sealed":"AAAA"}"#.into(),
        |event, _| event.data = "{}".into(),
    ];
    for (number, change) in moves.into_iter().enumerate() {
        let mut moved = raw.clone();
        change(&mut moved, bob);
        let opened = store.opened(vec![moved, raw.clone()]).await.unwrap();
        let unreadable = opened[0].as_ref().unwrap_err();
        assert!(unreadable.reason.contains("was changed"), "{number}: {unreadable}");
        assert_eq!(title(opened[1].as_ref().unwrap()), TITLE, "the others are read");
    }
}

/// One process has found no key, and before it looks into the log, another has created one and used it.
pub(crate) async fn two_first_events_of_a_person_lose_no_key(place: Place) {
    let subject = UserId(Uuid::now_v7());
    let account = StreamName::account(subject);
    let log = FaultyStore::over(Arc::clone(&place.log));
    let slow = SealedStore::over(log.clone(), place.keys().await);
    let fast = place.sealed(&place.keys().await);
    let reading = log.reading.write().await;
    let late = slow.append(&account, 0, vec![renamed(subject)]);
    let first = async {
        // By now the other one has asked for the key.
        eventually("the first looks into the log", async || log.reads.load(Ordering::SeqCst) > 0).await;
        fast.append(&account, 0, vec![renamed(subject)]).await.unwrap();
        drop(reading);
    };
    let (late, ()) = tokio::join!(late, first);
    assert!(matches!(late, Err(StoreError::Conflict { actual: 1, .. })), "{late:?}");
    let appended = slow.append(&account, 1, vec![renamed(subject)]).await;
    assert_eq!(appended.unwrap().version, 2);
}

pub(crate) async fn rotation_wraps_every_key_again(place: Place) {
    let old = place.keys().await;
    let mut people = Vec::new();
    for _ in 0..3 {
        people.push(place.person(&old).await);
    }
    old.destroy(people[1]).await.unwrap();
    let both = place.keys_with(&["cd", "ab"]).await.unwrap();
    let before = place.wrapped(people[0]).await;
    assert_eq!(both.rewrap().await.unwrap().keys, 2);
    assert_eq!(both.rewrap().await.unwrap().keys, 0, "nothing is left to do");
    assert_ne!(place.wrapped(people[0]).await, before);
    assert_eq!(place.wrapped(people[1]).await, None, "who was erased stays so");
    let new = place.keys_with(&["cd"]).await.unwrap();
    let read = place.read(&new).await;
    let titles: Vec<String> = read.iter().map(title).collect();
    assert_eq!(titles, [TITLE, ERASED, TITLE]);
    // A process with the old one alone does not start, and one that runs cannot read them.
    let refused = place.keys_with(&["ab"]).await.unwrap_err();
    assert!(matches!(refused, KeyError::OtherMasterKey { .. }), "{refused}");
    assert!(refused.to_string().contains(&new.master_keys().ids()[0]), "{refused}");
}

/// The setting of one process has the new master key before that of another has it.
pub(crate) async fn nobody_wraps_with_a_master_key_before_it_is_rotated(place: Place) {
    let behind = place.keys().await;
    place.person(&behind).await;
    let ahead = place.keys_with(&["cd", "ab"]).await.unwrap();
    place.person(&ahead).await;
    let read = place.read(&behind).await;
    assert!(read.len() == 2 && read.iter().all(|event| title(event) == TITLE));
    // The rotation is the sign that every process has it.
    assert_eq!(ahead.rewrap().await.unwrap().keys, 2);
    place.person(&ahead).await;
    let new = place.keys_with(&["cd"]).await.unwrap();
    assert_eq!(place.read(&new).await.len(), 3);
}

pub(crate) async fn a_key_under_an_absent_master_key_is_one_unreadable_record(place: Place) {
    // It has started before the rotation, and has no key in its cache.
    let behind = place.keys().await;
    let keys = place.keys().await;
    let (first, second) = (place.person(&keys).await, place.person(&keys).await);
    let old = place.wrapped(second).await.unwrap();
    let ahead = place.keys_with(&["cd", "ab"]).await.unwrap();
    ahead.rewrap().await.unwrap();
    let restore =
        "UPDATE data_keys SET wrapped = $2, master_key = (SELECT id FROM master_keys WHERE number = 1)
         WHERE subject = $1";
    let values = [second.0.into(), old.into()];
    place.database.execute(restore, &values).await.unwrap();
    let page = place.sealed(&behind).log_page(0, 10).await.unwrap();
    let unreadable = page.entries[0].as_ref().unwrap_err();
    assert_eq!(unreadable.subject, Some(first));
    assert!(unreadable.reason.contains("is not in the test"), "{}", unreadable.reason);
    assert!(unreadable.impersonal.is_some());
    assert_eq!(title(page.entries[1].as_ref().unwrap()), TITLE);
}

/// The registry may have a gap, as after a restore by hand.
pub(crate) async fn a_master_key_is_registered_beside_a_gap(place: Place) {
    place.person(&place.keys().await).await;
    let sql = "UPDATE master_keys SET number = 2";
    place.database.execute(sql, &[]).await.unwrap();
    let both = place.keys_with(&["cd", "ab"]).await.unwrap();
    let rotated = tokio::time::timeout(std::time::Duration::from_secs(20), both.rewrap()).await;
    assert_eq!(rotated.unwrap().unwrap().keys, 1);
}

pub(crate) async fn another_master_key_is_refused(place: Place) {
    // Both start before there is any key to compare with.
    let (ours, theirs) = (place.keys().await, place.keys_with(&["cd"]).await.unwrap());
    place.person(&ours).await;
    let refused = place
        .sealed(&theirs)
        .append(&StreamName::raw("task-2"), 0, vec![renamed(UserId(Uuid::now_v7()))])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("is not in the test"), "{refused}");
    assert!(matches!(refused, StoreError::KeysUnavailable(_)), "{refused:?}");
    let started = place.keys_with(&["cd"]).await.unwrap_err();
    assert!(matches!(started, KeyError::OtherMasterKey { .. }), "{started}");
}

pub(crate) async fn what_comes_sealed_over_the_bus_is_opened(place: Place) {
    let keys = place.keys().await;
    place.person(&keys).await;
    let sent = read_all(&*place.log, 0, 10).await;
    let opened = place.sealed(&keys).opened(sent.clone()).await.unwrap();
    assert_eq!(title(opened[0].as_ref().unwrap()), TITLE);
    let as_it_was = place.log.opened(sent.clone()).await.unwrap();
    assert_eq!(as_it_was[0].as_ref().unwrap(), &sent[0]);
}

pub(crate) async fn clear_events_of_before_are_read(place: Place) {
    let mut old = renamed(UserId(Uuid::now_v7()));
    old.metadata.correlation_id = "sealed:by-hand".into();
    place.log.append(&stream(), 0, vec![old.clone()]).await.unwrap();
    let keys = place.keys().await;
    let read = place.read(&keys).await;
    assert_eq!((&read[0].data, &read[0].metadata), (&old.data, &old.metadata));
    // While readers of an earlier release run, events are not encrypted.
    let opening = SealedStore::only_opening(Arc::clone(&place.log), keys);
    opening.append(&stream(), 1, vec![old]).await.unwrap();
    let stored = read_all(&*place.log, 1, 1).await;
    assert_eq!(stored[0].encoding, Encoding::Json);
}
