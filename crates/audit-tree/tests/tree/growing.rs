//! The tree grows with the log, and proves every event of it.

use audit_tree::{CheckpointSigner, KeepError};
use transparency_log::{entry_hash, leaf_hash, verify_consistency};

use crate::fixture::{Fixture, on_both};

on_both!(
    every_event_is_proved
    a_tree_that_is_kept_by_several_grows_once
);

async fn every_event_is_proved(fixture: Fixture) {
    fixture.keep().await.unwrap();
    let empty = fixture.checkpoint().await;
    assert_eq!(empty.size, 0);
    fixture.append("task-1", 0, 3).await;
    fixture.keep().await.unwrap();
    let first = fixture.checkpoint().await;
    assert_eq!((first.size, &first.origin), (3, &empty.origin));
    fixture.append("task-2", 0, 600).await;
    fixture.keep().await.unwrap();
    let second = fixture.checkpoint().await;
    assert_eq!(second.size, 603);

    let tree = fixture.newest().await;
    let signed = fixture.tree.last_checkpoint(&tree).await.unwrap().unwrap();
    let keys = fixture.keys().await;
    for position in [1, 3, 4, 256, 257, 512, 513, 603] {
        let index = fixture.tree.index_of(&tree, &*fixture.store, position).await.unwrap().unwrap();
        assert_eq!(index, position - 1);
        let proof = fixture.tree.inclusion(&tree, index, &signed).await.unwrap().unwrap();
        let stored = fixture.store.stored_page(position as i64 - 1, 1).await.unwrap().events.remove(0);
        let leaf = leaf_hash(&entry_hash(&stored.canonical()).0);
        proof.verify(leaf, &keys).unwrap();
    }
    for position in [0, 604, u64::MAX] {
        assert_eq!(fixture.tree.index_of(&tree, &*fixture.store, position).await.unwrap(), None);
    }
    for (from, to) in [(&empty, &first), (&first, &second), (&second, &second)] {
        let proof = fixture.tree.consistency(&tree, from.size, to.size).await.unwrap().unwrap();
        verify_consistency(from.size, &from.root, to.size, &to.root, &proof).unwrap();
    }
    let report = fixture.verify(&[first, second]).await;
    assert_eq!((report.events, report.size, report.checkpoints), (603, 603, 3));
    assert_eq!(report.differences, [""; 0]);
}

async fn a_tree_that_is_kept_by_several_grows_once(fixture: Fixture) {
    fixture.append("task-1", 0, 3_000).await;
    let (mut one, mut other) = (fixture.keeper(), fixture.keeper());
    while one.step().await.unwrap() {}
    other.step().await.unwrap();
    let overtaken =
        async |keeper: &mut CheckpointSigner| matches!(keeper.step().await, Err(KeepError::Overtaken));
    fixture.append("task-2", 0, 10).await;
    one.step().await.unwrap();
    assert!(overtaken(&mut other).await, "the other has added these");
    fixture.append("task-3", 0, 10).await;
    one.step().await.unwrap();
    assert!(overtaken(&mut other).await, "the other is still at work");
    // Once it stands still, this one goes on.
    fixture.append("task-4", 0, 10).await;
    while other.step().await.unwrap() {}
    assert!(overtaken(&mut one).await);
    let report = fixture.verify(&[]).await;
    assert_eq!((report.events, report.size), (3_030, 3_030));
    assert_eq!(report.differences, [""; 0]);
}
