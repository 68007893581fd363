//! Keys of people who were erased, as a backup or a copy brings them back.

use std::{collections::BTreeSet, sync::Arc};

use database::{Database, Schema};
use events::UserId;
use runtime::SystemClock;
use sealing::{Comparison, Copied, KeyError, SubjectKeys, erased_people};
use uuid::Uuid;

use super::{Place, master_keys, retired_master_keys::retire};

pub(crate) async fn who_was_erased_and_has_a_key_again_is_found(place: Place) {
    let keys = place.keys().await;
    let mut people = Vec::new();
    for _ in 0..3 {
        people.push(place.person(&keys).await);
    }
    for person in &people[1..] {
        place.erase(*person).await;
        assert_eq!(
            keys.compare(&*place.log).await.unwrap().revived,
            BTreeSet::from([*person]),
            "not yet destroyed"
        );
        keys.destroy(*person).await.unwrap();
        assert_eq!(keys.compare(&*place.log).await.unwrap(), Comparison::default());
    }
    // A backup from before a registration does not have the person's key at all.
    let sql = "DELETE FROM data_keys WHERE subject = $1";
    place.database.execute(sql, &[people[2].0.into()]).await.unwrap();
    let compared = keys.compare(&*place.log).await.unwrap();
    let revived = BTreeSet::from([people[2]]);
    assert_eq!(compared, Comparison { revived, ..Comparison::default() });
}

/// Copies keys from before the erasure into a database that knows nothing of it.
pub(crate) async fn who_was_erased_gets_no_key_by_a_copy(place: Place) {
    let keys = place.keys().await;
    let (erased, stays) = (place.person(&keys).await, place.person(&keys).await);
    place.erase(erased).await;
    let (_kept, other) = empty_keys().await;
    let here = SubjectKeys::open(other, master_keys(&["ab"]), Arc::new(SystemClock)).await.unwrap();
    let of_log = erased_people(&*place.log).await.unwrap();
    assert_eq!(of_log, BTreeSet::from([erased]));
    for again in [false, true] {
        let copied = here.copy_from(&place.database, &of_log, |_| {}).await.unwrap();
        let first = Copied { keys: 1, destroyed: 1 };
        assert_eq!(copied, if again { Copied::default() } else { first });
        let people = BTreeSet::from([erased, stays]);
        assert_eq!(here.destroyed(&people).await.unwrap(), of_log);
    }
}

/// The old master key wraps nothing any more and is in no file.
pub(crate) async fn keys_are_copied_after_their_master_key_was_retired(place: Place) {
    let subject = place.person(&place.keys().await).await;
    place.keys_with(&["cd", "ab"]).await.unwrap().rewrap().await.unwrap();
    let (_kept, other) = empty_keys().await;
    let open = |digits: &'static str| {
        SubjectKeys::open(other.clone(), master_keys(&[digits]), Arc::new(SystemClock))
    };
    let nobody = BTreeSet::new();
    let stranger = open("ef").await.unwrap();
    let refused = stranger.copy_from(&place.database, &nobody, |_| {}).await.unwrap_err();
    assert!(matches!(refused, KeyError::OtherMasterKey { .. }), "{refused}");
    // The refusal has left nothing behind that would be in the way of the right master key.
    let here = open("cd").await.unwrap();
    for keys in [1, 0] {
        let copied = here.copy_from(&place.database, &nobody, |_| {}).await.unwrap();
        assert_eq!(copied, Copied { keys, destroyed: 0 });
    }
    assert!(here.lacking(&BTreeSet::from([subject])).await.unwrap().is_empty());
}

/// A row from a backup is wrapped by a master key that was retired since.
pub(crate) async fn a_key_under_a_retired_master_key_is_named_before_any_is_copied(place: Place) {
    let behind = place.keys().await;
    let old = behind.master_keys().ids().remove(0);
    let subject = place.person(&behind).await;
    let backup = place.wrapped(subject).await.unwrap();
    let ahead = place.keys_with(&["cd", "ab"]).await.unwrap();
    ahead.rewrap().await.unwrap();
    retire(&ahead).await.unwrap();
    place.person(&ahead).await;
    let restore = "UPDATE data_keys SET master_key = $2, wrapped = $3 WHERE subject = $1";
    let values = [subject.0.into(), old.as_str().into(), backup.into()];
    place.database.execute(restore, &values).await.unwrap();

    let (_kept, other) = empty_keys().await;
    let here = SubjectKeys::open(other.clone(), master_keys(&["cd", "ab"]), Arc::new(SystemClock));
    let here = here.await.unwrap();
    let nobody = BTreeSet::new();
    let refused = here.copy_from(&place.database, &nobody, |_| {}).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains(&subject.to_string()) && told.contains(&old) && told.contains("retired"), "{told}");
    let registered = other.fetch_all("SELECT id FROM master_keys", &[]).await.unwrap();
    assert!(registered.is_empty());

    assert_eq!(ahead.rewrap().await.unwrap().keys, 1);
    let copied = here.copy_from(&place.database, &nobody, |_| {}).await.unwrap();
    assert_eq!(copied, Copied { keys: 2, destroyed: 0 });
}

/// A database of keys in its own file.
async fn empty_keys() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let url = Database::file_url(&directory.path().join("subject-keys.db"));
    let database = Database::open(&url, Schema::SubjectKeys, 2).await.unwrap();
    (directory, database)
}

/// An import asks about everybody in it.
pub(crate) async fn it_is_known_of_very_many_people_who_has_a_key(place: Place) {
    let keys = place.keys().await;
    let [held, destroyed, absent] = [(), (), ()].map(|()| {
        let people = std::iter::repeat_with(|| UserId(Uuid::now_v7()));
        people.take(600).collect::<BTreeSet<_>>()
    });
    let mut tx = place.database.begin().await.unwrap();
    for (people, destroyed_at) in [(&held, None), (&destroyed, Some(1))] {
        for person in people {
            let sql = "INSERT INTO data_keys (subject, created_at, destroyed_at) VALUES ($1, 1, $2)";
            let values = [person.0.into(), destroyed_at.map(i64::from).into()];
            tx.execute(sql, &values).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    let all: BTreeSet<UserId> = held.iter().chain(&destroyed).chain(&absent).copied().collect();
    assert_eq!(keys.lacking(&all).await.unwrap(), absent);
    assert_eq!(keys.destroyed(&all).await.unwrap(), destroyed);
}
