//! Which checkpoints are signed, and by which processes.

use std::{
    fs,
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use audit_tree::{KeepError, KeptRecords, LastSigned, SigningKeys, announcement, renew_origin};
use events::{OperationFinished, OperationOutcome, UserId};
use test_support::{make_pipe, open_pipe};
use transparency_log::Algorithm;

use crate::fixture::{Fixture, RECORDED_AT, on_both};

on_both!(
    a_log_that_lost_its_end_is_signed_under_a_new_name_only
    what_was_signed_is_remembered_outside_the_databases
    a_standby_remembers_what_others_have_signed
    only_keys_that_have_signed_a_tree_go_on_with_it
    a_tree_that_was_changed_is_not_signed
    a_damaged_record_is_named_with_the_way_out
    a_tree_of_another_name_is_signed_once_the_log_announces_it
);

impl Fixture {
    async fn renew_origin(&self) -> String {
        renew_origin(&self.tree, "example.org/log").await.unwrap().unwrap()
    }

    /// Appends the record of a command that began a tree of this origin.
    async fn announce(&self, origin: &str) {
        let finished = OperationFinished {
            outcome: OperationOutcome::Succeeded,
            result: Some(format!("the log ended at position 7; {}", announcement(origin)).into()),
        };
        let data = serde_json::to_string(&finished).unwrap();
        let stream = format!("operation-{}", runtime::new_id());
        let events = [("operation.finished", data)];
        self.append_events(&stream, 0, UserId::NOBODY, RECORDED_AT, &events).await;
    }
}

async fn a_log_that_lost_its_end_is_signed_under_a_new_name_only(fixture: Fixture) {
    fixture.append("task-1", 0, 300).await;
    fixture.keep().await.unwrap();
    let before = fixture.checkpoint().await;
    assert_eq!(fixture.disagreement().await, None);
    fixture.in_log("DELETE FROM events WHERE position > 200").await;
    assert!(matches!(fixture.keep().await, Err(KeepError::LostEnd)));
    fixture.append("task-2", 0, 200).await;
    assert!(matches!(fixture.keep().await, Err(KeepError::LostEnd)), "longer than before, and another");
    assert_eq!(fixture.checkpoint().await, before, "nothing was signed");
    let disagreement = fixture.disagreement().await.unwrap();
    assert_eq!(disagreement.origin, before.origin);

    let origin = fixture.renew_origin().await;
    assert_ne!(origin, before.origin);
    assert!(origin.starts_with("example.org/log/"));
    assert!(matches!(fixture.keep().await, Err(KeepError::Unannounced { .. })));
    fixture.announce(&origin).await;
    fixture.keep().await.unwrap();
    let after = fixture.checkpoint().await;
    assert_eq!((after.origin, after.size), (origin, 401));
    assert_eq!(fixture.disagreement().await, None);
    assert_eq!(fixture.verify(&[]).await.differences, [""; 0]);
    let kept = fixture.verify(&[before]).await;
    assert_eq!(kept.differences.len(), 1, "an auditor of the old log is told: {kept:?}");
}

async fn what_was_signed_is_remembered_outside_the_databases(fixture: Fixture) {
    fixture.append("task-1", 0, 10).await;
    fixture.keep().await.unwrap();
    let old_tree = fixture.newest().await;
    fixture.append("task-1", 10, 10).await;
    fixture.keep().await.unwrap();
    // The log continues with other events.
    fixture.go_back_to(&old_tree).await;
    assert!(matches!(fixture.keep().await, Err(KeepError::LostEnd)));
    assert!(fixture.disagreement().await.is_some());
    fixture.append("task-2", 0, 15).await;
    let refused = fixture.keep().await;
    assert!(matches!(refused, Err(KeepError::Forked { size: 20 })), "{refused:?}");
    assert_eq!(fixture.checkpoint().await.size, 10, "nothing was signed");
    assert!(fixture.disagreement().await.is_some());
    let origin = fixture.renew_origin().await;
    fixture.announce(&origin).await;
    fixture.keep().await.unwrap();
    assert_eq!(fixture.checkpoint().await.size, 26);
}

async fn a_standby_remembers_what_others_have_signed(fixture: Fixture) {
    fixture.append("task-1", 0, 19).await;
    let mut active = fixture.keeper();
    while active.step().await.unwrap() {}
    let dumped = fixture.newest().await;
    let standby = fixture.another_host(true);
    let mut waiting = standby.keeper();
    assert!(!waiting.step().await.unwrap());
    fixture.append("task-1", 19, 5).await;
    while active.step().await.unwrap() {}
    let signed = fixture.checkpoint().await;
    assert_eq!(signed.size, 24);
    for _ in 0..3 {
        let _ = waiting.step().await;
    }
    let remembered = LastSigned::new(&standby.keys).checkpoint(&signed.origin).unwrap();
    assert_eq!(remembered, Some(signed));

    // All databases go back to what was dumped, and only the standby is started again.
    fixture.go_back_to(&dumped).await;
    assert!(standby.disagreement().await.is_some());
    assert!(matches!(standby.keep().await, Err(KeepError::LostEnd)));
    fixture.append("task-2", 0, 7).await;
    assert!(
        standby.disagreement().await.is_some(),
        "the log is longer than what was signed, and another, and the tree has not grown"
    );
    let refused = standby.keep().await;
    assert!(matches!(refused, Err(KeepError::Forked { size: 24 })), "{refused:?}");
    assert_eq!(fixture.checkpoint().await.size, 19, "nothing was signed");
}

async fn only_keys_that_have_signed_a_tree_go_on_with_it(fixture: Fixture) {
    fixture.append("task-1", 0, 5).await;
    let mut active = fixture.keeper();
    while active.step().await.unwrap() {}
    let signed = fixture.checkpoint().await;

    // A host that has no keys, and then others.
    let other = fixture.another_host(false);
    fixture.append("task-1", 5, 5).await;
    for _ in 0..2 {
        let refused = other.keep().await;
        assert!(matches!(refused, Err(KeepError::StrangeKeys { .. })), "{refused:?}");
        assert_eq!(fixture.checkpoint().await, signed, "nothing was signed");
        let remembered = LastSigned::new(&other.keys).checkpoint(&signed.origin).unwrap();
        assert_eq!(remembered, None, "what was signed by others is not believed");
        if SigningKeys::read(&other.keys).unwrap().signers("x", Algorithm::Ed25519).unwrap().is_empty() {
            assert_eq!(other.disagreement().await, None, "it only signs nothing");
            SigningKeys::add(&other.keys).unwrap();
        }
    }
    assert!(other.disagreement().await.is_some());
    // The keys that have signed the tree, beside its own.
    fixture.copy_keys_to(&other.keys);
    other.keep().await.unwrap();
    assert_eq!(fixture.checkpoint().await.size, 10);
    assert_eq!(other.disagreement().await, None);

    // The active signer notices it, too.
    let mut active = fixture.keeper();
    while active.step().await.unwrap() {}
    let strange = fixture.another_host(false);
    let strange =
        SigningKeys::open(&strange.keys).unwrap().signers(&signed.origin, Algorithm::Ed25519).unwrap();
    let note = fixture.checkpoint().await.sign(&strange).to_string();
    fixture.in_tree(&format!("UPDATE tree_checkpoints SET note = '{note}' WHERE size = 10")).await;
    fixture.append("task-1", 10, 5).await;
    let refused = active.step().await;
    assert!(matches!(refused, Err(KeepError::StrangeKeys { .. })), "{refused:?}");
}

async fn a_tree_that_was_changed_is_not_signed(fixture: Fixture) {
    fixture.append("task-1", 0, 300).await;
    fixture.keep().await.unwrap();
    let copy =
        "UPDATE tree_tiles SET hashes = (SELECT hashes FROM tree_tiles WHERE level = -1 AND number = 0)
        WHERE level = 0 AND number = 0";
    fixture.in_tree(copy).await;
    fixture.in_tree("DELETE FROM tree_tiles WHERE level = 1").await;
    fixture.append("task-1", 300, 1).await;
    let refused = fixture.keep().await;
    assert!(matches!(refused, Err(KeepError::Damaged(_))), "{refused:?}");
    assert_eq!(fixture.checkpoint().await.size, 300);
}

async fn a_damaged_record_is_named_with_the_way_out(fixture: Fixture) {
    fixture.append("task-1", 0, 30).await;
    fixture.keep().await.unwrap();
    let record = fixture.record();
    let whole = fs::read(&record).unwrap();
    fixture.append("task-1", 30, 1).await;
    for part in [&whole[..0], &whole[..20], &b"\xff"[..]] {
        fs::write(&record, part).unwrap();
        let refused = fixture.keep().await.unwrap_err();
        assert!(matches!(refused, KeepError::DamagedRecord { .. }), "{refused:?}");
        let said = refused.to_string();
        assert!(
            said.contains(&record.display().to_string()) && said.contains("backup of the keys"),
            "{said}"
        );
    }
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    let refused = fixture.keep().await.unwrap_err();
    assert!(matches!(refused, KeepError::UnreadableRecord { .. }), "{refused:?}");
    fs::remove_dir(&record).unwrap();
    fixture.keep().await.unwrap();
    assert_eq!(fixture.checkpoint().await.size, 31);
    assert!(record.is_file(), "it was taken from the database of the tree");
}

async fn a_tree_of_another_name_is_signed_once_the_log_announces_it(fixture: Fixture) {
    fixture.append("task-1", 0, 30).await;
    fixture.keep().await.unwrap();
    let before = fixture.checkpoint().await.origin;
    let verified = async |origin: &str| {
        let memory = LastSigned::new(&fixture.keys);
        assert_eq!(memory.checkpoint(origin).unwrap(), None);
        let kept = KeptRecords { signed_before: memory.any_origin().unwrap(), ..KeptRecords::default() };
        fixture.verify_with(kept).await.differences.join("\n")
    };
    // Someone with access to the database changes the origin of the tree.
    fixture.in_tree("UPDATE trees SET origin = 'example.org/log/another'").await;
    assert!(matches!(fixture.keep().await, Err(KeepError::StrangeKeys { .. })));
    fixture.in_tree("DELETE FROM tree_checkpoints").await;
    let refused = async |origin: &str| {
        let refused = fixture.keep().await;
        assert!(
            matches!(&refused, Err(KeepError::Unannounced { origin: it, before: signed, .. })
                if it == origin && *signed == before),
            "{refused:?}"
        );
        let disagreement = fixture.disagreement().await.unwrap();
        assert!(
            disagreement.reason.contains("no event of the log announces")
                && disagreement.reason.contains("backup"),
            "{disagreement:?}"
        );
        let said = verified(origin).await;
        assert!(said.contains(&format!("announces the origin {origin}")), "{said}");
    };
    refused("example.org/log/another").await;
    fixture.announce("example.org/log/anoth").await;
    refused("example.org/log/another").await;

    fixture.in_tree("DELETE FROM tree_tiles").await;
    fixture.in_tree("DELETE FROM trees").await;
    let gone = fixture.disagreement().await.unwrap();
    assert_eq!(gone.origin, before);
    assert!(matches!(fixture.keep().await, Err(KeepError::Unannounced { .. })));
    let origin = fixture.newest().await.origin;
    refused(&origin).await;

    fixture.announce(&origin).await;
    assert_eq!(verified(&origin).await, "");
    fixture.keep().await.unwrap();
    assert_eq!(fixture.checkpoint().await.size, 32);
    assert_eq!(fixture.disagreement().await, None);
}

#[tokio::test]
async fn a_file_system_that_does_not_answer_holds_up_nobody_else() {
    let fixture = Fixture::on_sqlite().await;
    fixture.append("task-1", 0, 10).await;
    fixture.keep().await.unwrap();
    let record = fixture.record();
    fs::remove_file(&record).unwrap();
    // Whoever opens it waits until somebody writes to it: after the test, or so late that the test fails.
    make_pipe(&record);
    let (end, ended) = channel::<()>();
    let opened = thread::spawn(move || {
        let _ = ended.recv_timeout(Duration::from_secs(20));
        drop(open_pipe(&record));
    });
    let mut keeper = fixture.keeper();
    let step = async { (keeper.step().await, Instant::now()) };
    let others = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Instant::now()
    };
    let ((step, step_ended), others_ended) = tokio::join!(step, others);
    assert!(matches!(step, Err(KeepError::NoAnswer(_))), "{step:?}");
    assert!(others_ended < step_ended);
    drop(end);
    opened.join().unwrap();
}
