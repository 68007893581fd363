//! Keys that are damaged, lost, or not there to be asked for.

use std::collections::BTreeSet;

use event_store::{EventStore as _, Page, StoreError};
use events::{ERASED, StreamName, UserId};
use sealing::{Comparison, KeyError};
use uuid::Uuid;

use super::{Place, TITLE, renamed, stream, title};

/// Damages of the row of a key. `$1` is its person.
const DAMAGES: [&str; 4] = [
    "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE subject <> $1 AND wrapped IS NOT NULL LIMIT 1) \
     WHERE subject = $1",
    "UPDATE data_keys SET wrapped = NULL WHERE subject = $1",
    "UPDATE data_keys SET master_key = NULL WHERE subject = $1",
    "UPDATE data_keys SET master_key = 'of nobody' WHERE subject = $1",
];
const LOSS: &str = "DELETE FROM data_keys WHERE subject = $1";

pub(crate) async fn an_unusable_key_is_one_unreadable_record(place: Place) {
    let keys = place.keys().await;
    let well = place.person(&keys).await;
    let mut people = Vec::new();
    for damage in DAMAGES.into_iter().chain([LOSS]) {
        let person = place.person(&keys).await;
        place.strike(damage, person).await;
        people.push(person);
    }
    let lost = BTreeSet::from([people.pop().unwrap()]);
    let damaged: BTreeSet<UserId> = people.into_iter().collect();
    let again = place.keys().await;
    let page: Page = place.sealed(&again).log_page(0, 10).await.unwrap();
    assert_eq!(title(page.entries[0].as_ref().unwrap()), TITLE);
    let (mut of_damaged, mut of_lost) = (BTreeSet::new(), BTreeSet::new());
    for entry in &page.entries[1..] {
        let unreadable = entry.as_ref().unwrap_err();
        let people = if unreadable.reason.contains("damaged") {
            &mut of_damaged
        } else {
            assert!(unreadable.reason.contains("missing"), "{unreadable}");
            &mut of_lost
        };
        people.insert(unreadable.subject.unwrap());
        // Everything but the personal data is there.
        let impersonal = unreadable.impersonal.as_ref().unwrap();
        assert_eq!(title(impersonal), ERASED);
        assert_eq!(&*impersonal.metadata.correlation_id, ERASED);
        assert_eq!(impersonal.position, unreadable.position);
    }
    assert_eq!((&of_damaged, &of_lost), (&damaged, &lost));
    let strict = page.readable().unwrap_err();
    assert!(matches!(strict, StoreError::KeyUnusable(_)), "{strict}");
    let compared = again.compare(&*place.log).await.unwrap();
    let expected = Comparison { damaged: damaged.clone(), lost, ..Comparison::default() };
    assert_eq!(compared, expected);
    // Rotation does not change them, reports them, and continues with the others.
    let both = place.keys_with(&["cd", "ab"]).await.unwrap();
    let rewrapped = both.rewrap().await.unwrap();
    assert_eq!(rewrapped.keys, 1);
    assert_eq!(rewrapped.damaged.into_iter().collect::<BTreeSet<_>>(), damaged);
    // What the old master key wraps is needed until their people are erased.
    let refused = place.keys_with(&["cd"]).await.unwrap_err();
    assert!(matches!(refused, KeyError::OtherMasterKey { .. }), "{refused}");
    for person in damaged {
        both.destroy(person).await.unwrap();
    }
    let new = place.keys_with(&["cd"]).await.unwrap();
    let page = place.sealed(&new).log_page(0, 1).await.unwrap();
    assert_eq!(page.entries[0].as_ref().unwrap().metadata.subject, well);
}

pub(crate) async fn a_lost_key_is_not_replaced(place: Place) {
    let keys = place.keys().await;
    let store = place.sealed(&keys);
    let (lost, damaged) = (UserId(Uuid::now_v7()), UserId(Uuid::now_v7()));
    for person in [lost, damaged] {
        let account = StreamName::account(person);
        store.append(&account, 0, vec![renamed(person)]).await.unwrap();
    }
    let backup = place.wrapped(lost).await.unwrap();
    place.strike(LOSS, lost).await;
    place.strike(DAMAGES[0], damaged).await;
    let store = place.sealed(&place.keys().await);
    for person in [lost, damaged] {
        let refused = store.append(&stream(), 0, vec![renamed(person)]).await.unwrap_err();
        assert!(matches!(refused, StoreError::KeyUnusable(_)), "{refused}");
        assert!(refused.to_string().contains(&person.to_string()), "{refused}");
    }
    assert_eq!(place.wrapped(lost).await, None);
    // After they were restored from a backup, everything works.
    let restore = "INSERT INTO data_keys (subject, master_key, wrapped, created_at) \
         VALUES ($1, (SELECT id FROM master_keys), $2, 1)";
    place.database.execute(restore, &[lost.0.into(), backup.into()]).await.unwrap();
    store.append(&stream(), 0, vec![renamed(lost)]).await.unwrap();
    let read = store.read_stream(&stream(), 0, 10).await.unwrap();
    assert_eq!(title(&read[0]), TITLE);
}

/// Earlier releases wrote events in clear, and an account may have many of them.
pub(crate) async fn a_lost_key_is_not_replaced_where_an_account_begins_in_clear(place: Place) {
    let keys = place.keys().await;
    let person = UserId(Uuid::now_v7());
    let account = StreamName::account(person);
    for version in 0..150 {
        place.log.append(&account, version, vec![renamed(person)]).await.unwrap();
    }
    place.sealed(&keys).append(&account, 150, vec![renamed(person)]).await.unwrap();
    place.strike(LOSS, person).await;
    let store = place.sealed(&place.keys().await);
    let refused = store.append(&stream(), 0, vec![renamed(person)]).await.unwrap_err();
    assert!(matches!(refused, StoreError::KeyUnusable(_)), "{refused}");
    assert_eq!(place.wrapped(person).await, None);
}

/// A role that cannot create keys cannot register anybody, whatever it has in its cache.
pub(crate) async fn readiness_asks_whether_keys_can_be_made(place: Place) {
    let keys = place.keys().await;
    let store = place.sealed(&keys);
    place.person(&keys).await;
    store.can_append().await.unwrap();
    let sql = "ALTER TABLE data_keys RENAME TO data_keys_away";
    place.database.execute(sql, &[]).await.unwrap();
    let refused = store.can_append().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

pub(crate) async fn without_the_keys_nothing_is_appended(place: Place) {
    let keys = place.keys().await;
    place.person(&keys).await;
    let sql = "ALTER TABLE data_keys RENAME TO data_keys_away";
    place.database.execute(sql, &[]).await.unwrap();
    let store = place.sealed(&place.keys().await);
    let result = store.append(&stream(), 1, vec![renamed(UserId(Uuid::now_v7()))]).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    let result = store.log_page(0, 10).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert_eq!(place.log.head().await.unwrap(), 1);
}
