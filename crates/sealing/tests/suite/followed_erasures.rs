//! Erased people whose key was restored are found again, and the log is read no further back than necessary.

use std::collections::BTreeSet;

use database::Value;
use event_store::EventStore as _;
use events::{NewEvent, StreamName, UserId};
use uuid::Uuid;

use super::{Place, renamed};

impl Place {
    /// Appends the erasure of `person`.
    pub(super) async fn erase(&self, person: UserId) {
        let erased = NewEvent { kind: "account.erased".to_owned(), data: "{}".into(), ..renamed(person) };
        let stream = StreamName::account(person);
        let keys = self.keys().await;
        let store = self.sealed(&keys);
        store.append(&stream, 0, vec![erased]).await.unwrap();
    }

    /// The people whose keys must be destroyed, for a process that starts now.
    async fn revived(&self) -> BTreeSet<UserId> {
        let keys = self.keys().await;
        keys.erasures(&*self.log).await.unwrap().revived
    }

    /// Destroys these keys. Returns how many more keys are destroyed than people were erased.
    async fn follow(&self) -> u64 {
        let keys = self.keys().await;
        let erasures = keys.erasures(&*self.log).await.unwrap();
        for person in &erasures.revived {
            keys.destroy(*person).await.unwrap();
        }
        keys.remember(&erasures).await.unwrap()
    }

    async fn put_back(&self, person: UserId, wrapped: Vec<u8>) {
        let sql = "UPDATE data_keys SET wrapped = $2, master_key = (SELECT id FROM master_keys), destroyed_at = NULL \
             WHERE subject = $1";
        let values: [Value; 2] = [person.0.into(), wrapped.into()];
        assert_eq!(self.database.execute(sql, &values).await.unwrap(), 1);
    }
}

pub(crate) async fn whoever_was_erased_is_found_when_their_key_is_put_back(place: Place) {
    let keys = place.keys().await;
    let (mut people, mut wrapped) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let person = place.person(&keys).await;
        wrapped.push(place.wrapped(person).await.unwrap());
        people.push(person);
    }
    assert_eq!(place.follow().await, 0, "nobody is erased");
    place.erase(people[0]).await;
    assert_eq!(place.revived().await, BTreeSet::from([people[0]]));
    assert_eq!(place.follow().await, 0);
    assert_eq!(place.revived().await, BTreeSet::new());

    // The position up to which the log was followed is as old as the restored keys.
    place.erase(people[1]).await;
    keys.destroy(people[1]).await.unwrap();
    place.put_back(people[1], wrapped[1].clone()).await;
    assert_eq!(place.revived().await, BTreeSet::from([people[1]]));
    assert_eq!(place.follow().await, 0);
    assert_eq!(place.wrapped(people[1]).await, None);

    // One key alone: fewer are destroyed than people were erased.
    place.put_back(people[0], wrapped[0].clone()).await;
    assert_eq!(place.revived().await, BTreeSet::from([people[0]]));

    // The numbers are equal, but the log was followed in another history.
    keys.destroy(people[2]).await.unwrap();
    assert_eq!(place.revived().await, BTreeSet::new());
    let other = "UPDATE followed_erasures SET event = $1";
    let other = place.database.execute(other, &[Uuid::now_v7().into()]).await;
    assert_eq!(other.unwrap(), 1);
    assert_eq!(place.revived().await, BTreeSet::from([people[0]]));
    let beyond = "UPDATE followed_erasures SET position = position + 1000";
    place.database.execute(beyond, &[]).await.unwrap();
    assert_eq!(place.revived().await, BTreeSet::from([people[0]]));
    assert_eq!(place.follow().await, 1, "the last one is not erased in the log");

    let again = place.keys().await;
    let compared = again.compare(&*place.log).await.unwrap();
    assert_eq!(compared.unerased, BTreeSet::from([people[2]]));
    let mut destroyed = again.destroyed_page(None, 2).await.unwrap();
    destroyed.extend(again.destroyed_page(destroyed.last().copied(), 2).await.unwrap());
    people.sort_unstable();
    assert_eq!(destroyed, people);
}
