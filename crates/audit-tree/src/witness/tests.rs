//! What a witness cosigns, and what it refuses.

use events::Timestamp;
use test_support::TestClock;
use transparency_log::{Edge, Hash, cosigned_at, leaf_hash};

use super::*;

const ORIGIN: &str = "example.org/log";

struct Fixture {
    directory: tempfile::TempDir,
    log: Signer,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = SigningKeys::open(&directory.path().join("log")).unwrap();
        Self { log: keys.newest(ORIGIN, Algorithm::Ed25519).unwrap(), directory }
    }

    fn witness(&self, name: &str) -> Witness {
        self.open(name).unwrap()
    }

    fn open(&self, name: &str) -> Result<Witness, KeysUnusable> {
        let clock = TestClock::standing_at(Timestamp::from_micros(1_800_000_000_000_000));
        let logs = vec![self.log.verifier().clone()];
        Witness::open(&self.directory.path().join(name), name, logs, Arc::new(clock))
    }

    fn checkpoint(&self, origin: &str, leaves: &[Hash]) -> Note {
        let mut edge = Edge::default();
        edge.extend(leaves.iter().copied());
        let (size, root) = (edge.size(), edge.root());
        let origin = origin.to_owned();
        Checkpoint { origin, size, root }.sign(std::slice::from_ref(&self.log))
    }
}

fn leaves(numbers: std::ops::Range<u8>) -> Vec<Hash> {
    numbers.map(|number| leaf_hash(&[number])).collect()
}

fn request(old_size: u64, proof: Vec<Hash>, checkpoint: Note) -> String {
    AddCheckpoint { old_size, proof, checkpoint }.to_string()
}

#[test]
fn a_log_that_grows_is_cosigned_also_after_a_restart() {
    let fixture = Fixture::new();
    let witness = fixture.witness("w1");
    let one = fixture.checkpoint(ORIGIN, &leaves(0..1));
    let line = witness.add_checkpoint(&request(0, vec![], one.clone())).unwrap();
    let cosigned = one.with(line.trim_end().parse().unwrap());
    assert_eq!(cosigned_at(&cosigned, witness.key()), Ok(Some(1_800_000_000)));
    assert_eq!(witness.checkpoint(&sha256(ORIGIN.as_bytes())).unwrap(), Some(cosigned));
    assert_eq!(witness.checkpoint(&sha256(b"another")).unwrap(), None);

    drop(witness);
    let witness = fixture.witness("w1");
    let two = fixture.checkpoint(ORIGIN, &leaves(0..2));
    let early = witness.add_checkpoint(&request(0, vec![], two.clone()));
    assert!(matches!(early, Err(Refused::Conflict { size: 1 })), "{early:?}");
    let proof = vec![leaf_hash(&[1])];
    witness.add_checkpoint(&request(1, proof.clone(), two.clone())).unwrap();
    let again = witness.add_checkpoint(&request(2, vec![], two.clone()));
    assert!(again.is_ok(), "the same once more");
    let back = witness.add_checkpoint(&request(1, proof, two));
    assert!(matches!(back, Err(Refused::Conflict { size: 2 })));
}

/// Two processes could each cosign another successor of the last checkpoint.
#[test]
fn one_process_at_a_time_cosigns_with_a_key() {
    let fixture = Fixture::new();
    let first = fixture.witness("w1");
    let refused = fixture.open("w1").map(drop).unwrap_err().to_string();
    assert!(refused.contains("another witness uses this directory"), "{refused}");
    fixture.witness("w2");
    drop(first);
    fixture.witness("w1");
}

#[test]
fn two_witnesses_notice_a_forked_log() {
    let fixture = Fixture::new();
    let witnesses = [fixture.witness("w1"), fixture.witness("w2")];
    let shown = fixture.checkpoint(ORIGIN, &leaves(0..2));
    for witness in &witnesses {
        witness.add_checkpoint(&request(0, vec![], shown.clone())).unwrap();
    }
    // The log has rewritten its second entry, and has proofs of the tree that it has now.
    let forked = fixture.checkpoint(ORIGIN, &[leaf_hash(&[0]), leaf_hash(&[9]), leaf_hash(&[2])]);
    let same_size = fixture.checkpoint(ORIGIN, &[leaf_hash(&[0]), leaf_hash(&[9])]);
    for witness in &witnesses {
        let other = witness.add_checkpoint(&request(2, vec![], same_size.clone()));
        assert!(matches!(other, Err(Refused::OtherRoot { size: 2 })), "{other:?}");
        for request in [request(2, vec![leaf_hash(&[2])], forked.clone()), request(2, vec![], forked.clone())]
        {
            let refused = witness.add_checkpoint(&request);
            assert!(matches!(refused, Err(Refused::Inconsistent)), "{refused:?}");
        }
        let again = witness.add_checkpoint(&request(0, vec![], forked.clone()));
        assert!(matches!(again, Err(Refused::Conflict { size: 2 })), "{again:?}");
        let kept = witness.checkpoint(&sha256(ORIGIN.as_bytes())).unwrap().unwrap();
        assert_eq!(kept.text, shown.text);
    }
}

#[test]
fn what_is_not_of_a_known_log_is_refused() {
    let fixture = Fixture::new();
    let witness = fixture.witness("w1");
    let note = fixture.checkpoint(ORIGIN, &leaves(0..1));
    let unknown = fixture.checkpoint("example.org/other", &leaves(0..1));
    let refused = |request: &str| witness.add_checkpoint(request).unwrap_err();
    assert!(matches!(refused(&request(0, vec![], unknown)), Refused::UnknownOrigin));
    let changed = request(0, vec![], note.clone()).replace("\n1\n", "\n2\n");
    assert!(matches!(refused(&changed), Refused::Untrusted));
    assert!(matches!(refused(&request(2, vec![], note.clone())), Refused::Malformed(_)));
    assert!(matches!(refused(&request(0, vec![leaf_hash(&[0])], note)), Refused::Inconsistent));
    assert!(matches!(refused("nonsense"), Refused::Malformed(_)));
}
