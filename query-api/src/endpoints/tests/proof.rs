//! `GET /audit/proof` and `GET /audit/tile/…` while the tree grows.

use std::time::Duration;

use database::{Database, Schema};
use futures::future::join_all;
use test_support::eventually;
use transparency_log::{Checkpoint, Hash, InclusionProof, leaf_hash, root_of, verify_inclusion};
use uuid::Uuid;

use crate::testing::{TestRole, user};

/// Far less than an event may take to be in a checkpoint.
const AT_ONCE: Duration = Duration::from_secs(2);
const POSITIONS: u64 = 3;

fn leaves() -> Vec<Hash> {
    (1..=POSITIONS).map(|position| leaf_hash(&position.to_be_bytes())).collect()
}

/// A tree over the events 1 to 3, of which the last checkpoint has the first two.
async fn tree(directory: &tempfile::TempDir) -> Database {
    let url = Database::file_url(&directory.path().join("audit-tree.db"));
    let database = Database::open(&url, Schema::AuditTree, 4).await.unwrap();
    let last = Uuid::from_u128(POSITIONS.into());
    let sql = "INSERT INTO trees (id, origin, size, position, event_id) VALUES (1, 'log', $1, $1, $2)";
    database.execute(sql, &[POSITIONS.into(), last.into()]).await.unwrap();
    let hashes: Vec<u8> = leaves().iter().flat_map(|leaf| leaf.0).collect();
    let sql = "INSERT INTO tree_tiles (tree, level, number, first_position, hashes) VALUES (1, 0, 0, 1, $1)";
    database.execute(sql, &[hashes.into()]).await.unwrap();
    sign(&database, 2).await;
    database
}

async fn sign(database: &Database, size: usize) {
    let root = root_of(&leaves()[..size]).unwrap();
    let checkpoint = Checkpoint { origin: "log".to_owned(), size: size as u64, root };
    let sql = "INSERT INTO tree_checkpoints (tree, size, root, note, signed_at) VALUES (1, $1, $2, $3, 0)";
    let note = format!("{checkpoint}\n\u{2014} log AAAAAAAA\n");
    let values = [checkpoint.size.into(), root.0.to_vec().into(), note.into()];
    database.execute(sql, &values).await.unwrap();
}

async fn started() -> (TestRole, Database, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = Database::file_url(&directory.path().join("read-models.db"));
    let read_models = Database::open(&url, Schema::ReadModels, 4).await.unwrap();
    let tree = tree(&directory).await;
    (TestRole::with_audit_tree(&read_models, &tree).await, tree, directory)
}

#[tokio::test]
async fn what_a_checkpoint_has_is_proved_at_once_however_the_tree_grows() {
    let (role, database, _directory) = started().await;
    let proof = async |position: u64| {
        let answer = role.get(user(), &format!("/audit/proof?position={position}")).await;
        let text = String::from_utf8(answer.bytes).unwrap();
        assert_eq!(answer.status, 200, "{text}");
        let proof: InclusionProof = text.parse().unwrap();
        let checkpoint: Checkpoint = proof.checkpoint.text.parse().unwrap();
        let leaf = leaf_hash(&position.to_be_bytes());
        verify_inclusion(leaf, proof.index, checkpoint.size, &proof.hashes, &checkpoint.root).unwrap();
    };
    for position in [1, 2] {
        tokio::time::timeout(AT_ONCE, proof(position)).await.unwrap();
    }
    // What is not signed yet is waited for.
    let signed = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sign(&database, 3).await;
    };
    tokio::join!(proof(3), signed);
}

#[tokio::test]
async fn a_tile_is_shown_as_soon_as_a_checkpoint_covers_it() {
    let (role, database, _directory) = started().await;
    let path = format!("/audit/tile/0/000.p/{POSITIONS}");
    assert_eq!(role.get(user(), "/audit/tile/0/000.p/2").await.status, 200);
    assert_eq!(role.get(user(), &path).await.status, 404);
    sign(&database, 3).await;
    assert_eq!(role.get(user(), &path).await.status, 200);
}

#[tokio::test]
async fn conditions_hold_on_what_is_proved() {
    let (role, _database, _directory) = started().await;
    for path in ["/audit/checkpoint", "/audit/proof?position=1", "/audit/consistency?from=1"] {
        for (name, value, status) in [
            ("if-match", "*", 200),
            ("if-match", "\"1\"", 412),
            ("if-none-match", "\"1\"", 200),
            ("if-none-match", "*", 304),
            ("if-none-match", "1", 400),
        ] {
            let answer = role.get_with(user(), path, &[(name, value)]).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {name}: {value}");
            assert_eq!(answer.bytes.is_empty(), status == 304, "{path} {name}: {value}");
        }
    }
    // What is not there is `404`, whatever the conditions.
    let condition = [("if-match", "\"1\"")];
    let nothing = role.get_with(user(), "/audit/proof?position=9", &condition).await;
    nothing.assert_problem(404, "not-found");
}

/// After a repair the same path is of another tree.
#[tokio::test]
async fn a_tile_is_not_kept_when_a_tree_of_another_origin_has_another() {
    let (role, database, _directory) = started().await;
    let path = "/audit/tile/0/000.p/2";
    let tile = role.get(user(), path).await;
    assert_eq!(tile.header("cache-control"), Some("public, max-age=3600"));
    let tag = tile.header("etag").unwrap();
    let known = [("if-none-match", tag)];
    let again = role.get_with(user(), path, &known).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!(again.header("cache-control"), tile.header("cache-control"));

    let other: Vec<u8> = leaves().iter().rev().flat_map(|leaf| leaf.0).collect();
    let sql = "UPDATE tree_tiles SET hashes = $1";
    database.execute(sql, &[other.into()]).await.unwrap();
    let changed = role.get_with(user(), path, &known).await;
    assert_eq!(changed.status.as_u16(), 200);
    assert_ne!(changed.header("etag"), Some(tag));
}

#[tokio::test]
async fn those_who_wait_for_a_checkpoint_share_one_persons_part_of_the_connections() {
    let (role, _database, _directory) = started().await;
    // In the log, and not in the tree.
    role.log().ends_at(POSITIONS + 1);
    let path = format!("/audit/proof?position={}", POSITIONS + 1);
    let waiting = join_all((0..20).map(|_| role.get(user(), &path)));
    let watched = async {
        eventually("two ask at the same time", async || role.log().most_asking() >= 2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    tokio::select! {
        _ = waiting => {}
        () = watched => {}
    }
    // Half of the role's four.
    assert_eq!(role.log().most_asking(), 2);
}
