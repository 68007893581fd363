//! Nothing that is changed in the databases behind its back stays unnoticed.

use audit_tree::{KeepError, KeptRecords, Verification};

use crate::fixture::{Fixture, on_both};

on_both!(
    every_change_of_the_log_is_found
    what_stands_where_there_can_be_nothing_is_found
    changed_tiles_and_checkpoints_are_found
    a_tree_that_was_emptied_is_found_by_what_is_remembered
    a_log_that_was_rewritten_with_its_tree_is_found_by_a_checkpoint_that_was_kept
);

/// A random number below `end`, from 1.
fn any_below(end: i64) -> i64 {
    1 + i64::from_be_bytes(runtime::random_bytes()).rem_euclid(end - 1)
}

async fn every_change_of_the_log_is_found(fixture: Fixture) {
    const EVENTS: i64 = 700;
    fixture.append("task-1", 0, EVENTS as usize).await;
    fixture.keep().await.unwrap();
    assert_eq!(fixture.verify(&[]).await.differences, [""; 0]);
    fixture.in_tree("UPDATE trees SET size = size").await;
    let copy = "CREATE TABLE kept AS SELECT * FROM events";
    fixture.log.execute(copy, &[]).await.unwrap();
    for number in 0..12 {
        let at = any_below(EVENTS - 1);
        let changes: Vec<String> = match number {
            0 => vec![format!("UPDATE events SET data = {} WHERE position = {at}", fixture.empty_payload())],
            1 => vec![format!("UPDATE events SET metadata = replace(metadata, ',', ', ') WHERE position = {at}")],
            2 => vec![format!("UPDATE events SET type = 'task.deleted' WHERE position = {at}")],
            3 => vec![format!("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = {at}")],
            4 => vec![format!("UPDATE events SET schema_version = 2 WHERE position = {at}")],
            5 => vec![format!("UPDATE events SET encoding = 'jso' WHERE position = {at}")],
            6 => vec![format!("UPDATE events SET stream = 'task-2' WHERE position = {at}")],
            7 => vec![format!("UPDATE events SET version = 100000 WHERE position = {at}")],
            8 => vec![format!(
                "UPDATE events SET id = (SELECT id FROM kept WHERE position = {EVENTS}) WHERE position = {at}"
            )],
            9 => vec![format!("DELETE FROM events WHERE position = {at}")],
            // Two neighbours change places.
            10 => vec![
                format!("UPDATE events SET position = 1000000 WHERE position = {at}"),
                format!("UPDATE events SET position = {at} WHERE position = {at} + 1"),
                format!("UPDATE events SET position = {at} + 1 WHERE position = 1000000"),
            ],
            // One is inserted, and the later ones make room.
            _ => vec![
                format!("UPDATE events SET position = position + 1000000 WHERE position >= {at}"),
                "UPDATE events SET position = position - 999999 WHERE position > 1000000".to_owned(),
                format!(
                    "INSERT INTO events SELECT {at}, 1, recorded_at, schema_version, id, 'task-3', type, encoding, metadata,
                     data, data_sha256 FROM kept WHERE position = {at}"
                ),
            ],
        };
        for change in &changes {
            fixture.in_log(change).await;
        }
        let report = fixture.verify(&[]).await;
        assert_eq!(report.first_difference, Some(at), "{changes:?}: {:?}", report.differences);
        assert!(!report.differences.is_empty());
        fixture.in_log("DELETE FROM events").await;
        fixture.in_log("INSERT INTO events SELECT * FROM kept").await;
    }
    assert_eq!(fixture.verify(&[]).await.differences, [""; 0], "what was put back is the same again");
}

async fn what_stands_where_there_can_be_nothing_is_found(fixture: Fixture) {
    fixture.append("task-1", 0, 20).await;
    fixture.keep().await.unwrap();
    for at in [0, -7, 1_000_000] {
        fixture
            .in_log(&format!(
                "INSERT INTO events SELECT {at}, 21, recorded_at, schema_version, id, stream, type, encoding, metadata, data, data_sha256
                 FROM events WHERE position = 20"
            ))
            .await;
        let report = fixture.verify(&[]).await;
        assert_eq!(report.first_difference, Some(at.min(21)), "{:?}", report.differences);
        fixture.in_log(&format!("DELETE FROM events WHERE position = {at}")).await;
    }
    // The end is missing.
    fixture.in_log("DELETE FROM events WHERE position > 18").await;
    let report = fixture.verify(&[]).await;
    assert!(!report.differences.is_empty(), "{report:?}");
}

async fn changed_tiles_and_checkpoints_are_found(fixture: Fixture) {
    fixture.append("task-1", 0, 300).await;
    fixture.keep().await.unwrap();
    let other = "(SELECT hashes FROM tree_tiles WHERE level = 1 AND number = 0)";
    for level in [-1, 0] {
        let (kept, number) = (format!("kept{}", level + 1), 0);
        let place = format!("level = {level} AND number = {number}");
        let copy = format!("CREATE TABLE {kept} AS SELECT * FROM tree_tiles WHERE {place}");
        fixture.tree_database.execute(&copy, &[]).await.unwrap();
        fixture.in_tree(&format!("UPDATE tree_tiles SET hashes = {other} WHERE {place}")).await;
        let report = fixture.verify(&[]).await;
        assert_eq!(report.first_difference, Some(1));
        assert!(report.differences[0].contains("the tiles were changed"), "{:?}", report.differences);
        fixture
            .in_tree(&format!("UPDATE tree_tiles SET hashes = (SELECT hashes FROM {kept}) WHERE {place}"))
            .await;
    }
    assert_eq!(fixture.verify(&[]).await.differences, [""; 0]);
    let nothing = if fixture.log.is_postgres() { "''" } else { "x''" };
    for hashes in [nothing, "(SELECT hashes FROM kept0)"] {
        fixture.in_tree(&format!("UPDATE tree_tiles SET hashes = {hashes} WHERE level = 1")).await;
        assert_upper_tile_differs(&fixture.verify(&[]).await);
    }
    fixture.in_tree("DELETE FROM tree_tiles WHERE level = 1").await;
    assert_upper_tile_differs(&fixture.verify(&[]).await);
    fixture.in_tree("UPDATE tree_checkpoints SET note = replace(note, '\n300\n', '\n299\n')").await;
    let report = fixture.verify(&[]).await;
    assert!(!report.differences.is_empty());
}

fn assert_upper_tile_differs(report: &Verification) {
    let said = report.differences.join("\n");
    assert!(said.contains("the tile 1/000.p/1 is not"), "{said}");
    assert_eq!(report.first_difference, None);
}

async fn a_tree_that_was_emptied_is_found_by_what_is_remembered(fixture: Fixture) {
    fixture.append("task-1", 0, 30).await;
    fixture.keep().await.unwrap();
    let remembered = fixture.checkpoint().await;
    for table in ["tree_tiles", "tree_checkpoints"] {
        fixture.in_tree(&format!("DELETE FROM {table}")).await;
    }
    fixture.in_tree("UPDATE trees SET size = 0, position = 0, event_id = NULL").await;
    let verify = async || {
        let remembered = Some(remembered.clone());
        let kept = KeptRecords { remembered, ..KeptRecords::default() };
        fixture.verify_with(kept).await.differences.join("\n")
    };
    let said = verify().await;
    assert!(said.contains("and the tree has 0"), "{said}");
    assert!(!said.contains("the log is not"), "{said}");
    fixture.in_log("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 7").await;
    let said = verify().await;
    assert!(said.contains("the log is not the one"), "{said}");
}

async fn a_log_that_was_rewritten_with_its_tree_is_found_by_a_checkpoint_that_was_kept(fixture: Fixture) {
    fixture.append("task-1", 0, 50).await;
    fixture.keep().await.unwrap();
    let kept = fixture.checkpoint().await;
    // Someone who can write to both databases and has the key computes everything again.
    fixture.in_log(&format!("UPDATE events SET data = {} WHERE position = 7", fixture.empty_payload())).await;
    let origin = kept.origin.clone();
    for table in ["trees", "tree_tiles", "tree_checkpoints"] {
        fixture.in_tree(&format!("DELETE FROM {table}")).await;
    }
    fixture
        .in_tree(&format!("INSERT INTO trees (id, origin, size, position) VALUES (1, '{origin}', 0, 0)"))
        .await;
    let refused = fixture.keep().await;
    assert!(
        matches!(refused, Err(KeepError::Forked { size: 50 })),
        "the directory of keys remembers: {refused:?}"
    );
    std::fs::remove_file(fixture.record()).unwrap();
    fixture.keep().await.unwrap();
    assert_eq!(fixture.verify(&[]).await.differences, [""; 0], "nothing within shows it");
    let report = fixture.verify(&[kept]).await;
    assert_eq!(report.differences.len(), 1, "{report:?}");
    assert!(fixture.directory.path().exists());
}
