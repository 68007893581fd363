//! Keys of people who were erased, as a backup or a copy brings them back.

use std::{collections::BTreeSet, sync::Arc};

use database::{Database, Schema};
use event_store::EventStore as _;
use events::{NewEvent, StreamName};
use runtime::SystemClock;
use sealing::{Comparison, Copied, SubjectKeys, erased_people};

use super::{Place, master_keys, renamed};

pub(crate) async fn who_was_erased_and_has_a_key_again_is_found(place: Place) {
    let keys = place.keys().await;
    let mut people = Vec::new();
    for _ in 0..3 {
        people.push(place.person(&keys).await);
    }
    for person in &people[1..] {
        let erased = NewEvent {
            kind: "account.erased".to_owned(),
            data: "{}".into(),
            ..renamed(*person)
        };
        let stream = StreamName::account(*person);
        place
            .sealed(&keys)
            .append(&stream, 0, vec![erased])
            .await
            .unwrap();
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
    assert_eq!(
        compared,
        Comparison {
            revived,
            ..Comparison::default()
        }
    );
}

/// Copies keys from before the erasure into a database that knows nothing of it.
pub(crate) async fn who_was_erased_gets_no_key_by_a_copy(place: Place) {
    let keys = place.keys().await;
    let (erased, stays) = (place.person(&keys).await, place.person(&keys).await);
    let event = NewEvent {
        kind: "account.erased".to_owned(),
        data: "{}".into(),
        ..renamed(erased)
    };
    let stream = StreamName::account(erased);
    place.sealed(&keys).append(&stream, 0, vec![event]).await.unwrap();
    let (_kept, other) = empty_keys().await;
    let here = SubjectKeys::open(other, master_keys(&["ab"]), Arc::new(SystemClock))
        .await
        .unwrap();
    let of_log = erased_people(&*place.log).await.unwrap();
    assert_eq!(of_log, BTreeSet::from([erased]));
    for again in [false, true] {
        let copied = here.copy_from(&place.database, &of_log).await.unwrap();
        let first = Copied {
            keys: 1,
            destroyed: 1,
        };
        assert_eq!(copied, if again { Copied::default() } else { first });
        let people = BTreeSet::from([erased, stays]);
        assert_eq!(here.destroyed(&people).await.unwrap(), of_log);
    }
}

/// A database of keys in its own file.
async fn empty_keys() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let url = Database::file_url(&directory.path().join("subject-keys.db"));
    let database = Database::open(&url, Schema::SubjectKeys, 2).await.unwrap();
    (directory, database)
}
