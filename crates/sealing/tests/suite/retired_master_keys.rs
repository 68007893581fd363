//! A master key that was retired wraps nothing any more, also in a process that does not know that yet.

use event_store::EventStore as _;
use events::{StreamName, UserId};
use sealing::{KeyError, SubjectKeys};
use uuid::Uuid;

use super::{Place, TITLE, renamed, title};

/// Does what `keys master retire` does.
pub(crate) async fn retire(keys: &SubjectKeys) -> Result<(), KeyError> {
    let lock = keys.master_keys().lock_file().await?;
    keys.forget_old_master_keys(&lock).await
}

pub(crate) async fn a_process_that_is_behind_makes_no_key_after_the_old_master_key_is_retired(place: Place) {
    let behind = place.keys().await;
    let early = place.person(&behind).await;
    let wrapped_by_the_old = place.wrapped(early).await.unwrap();
    let ahead = place.keys_with(&["cd", "ab"]).await.unwrap();
    let [new, old] = ahead.master_keys().ids().try_into().unwrap();
    ahead.rewrap().await.unwrap();
    place.person(&behind).await;
    let refused = retire(&ahead).await.unwrap_err().to_string();
    assert!(refused.contains("still wraps"), "{refused}");
    // What is refused changes nothing.
    place.person(&behind).await;
    assert_eq!(ahead.rewrap().await.unwrap().keys, 2);
    retire(&ahead).await.unwrap();

    let late = UserId(Uuid::now_v7());
    let appended = place.sealed(&behind).append(&StreamName::raw("task-2"), 0, vec![renamed(late)]).await;
    let refused = appended.unwrap_err().to_string();
    assert!(refused.contains(&format!("wrapped by the master key {new}")), "{refused}");
    assert_eq!(place.wrapped(late).await, None);
    place.person(&ahead).await;
    let alone = place.keys_with(&["cd"]).await.unwrap();
    let read = place.read(&alone).await;
    assert!(read.len() == 4 && read.iter().all(|event| title(event) == TITLE));

    // A row from a backup is rewrapped by whoever still has the old master key.
    let restore = "UPDATE data_keys SET master_key = $2, wrapped = $3 WHERE subject = $1";
    let values = [early.0.into(), old.into(), wrapped_by_the_old.into()];
    place.database.execute(restore, &values).await.unwrap();
    let again = ahead.rewrap().await.unwrap();
    assert_eq!((again.keys, again.damaged), (1, vec![]));
}
