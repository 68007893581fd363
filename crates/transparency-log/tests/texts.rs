//! Notes, checkpoints, cosignatures and proofs: the examples of the specifications, and texts that must be refused.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fmt::{Debug, Display};

use ed25519_dalek::SigningKey;
use transparency_log::{
    AddCheckpoint, Algorithm, Checkpoint, CheckpointError, Hash, InclusionProof, Note, NoteError, ProofError,
    Signer, VerifierKey, cosign, cosigned_at, entry_hash, leaf_hash, root_of,
};

const ORIGIN: &str = "example.org/log";

fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
    Signer::new(name, algorithm, SigningKey::from_bytes(&[seed; 32])).unwrap()
}

fn checkpoint(size: u64, root: Hash) -> Checkpoint {
    let origin = ORIGIN.to_owned();
    Checkpoint { origin, size, root }
}

fn same_after_parsing<T>(value: &T)
where
    T: Display + std::str::FromStr<Err: Debug> + PartialEq + Debug,
{
    assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
}

#[test]
fn the_example_of_signed_note_verifies() {
    let key: VerifierKey =
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().unwrap();
    let text = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let note: Note = text.parse().unwrap();
    assert_eq!(note.to_string(), text);
    note.verify(std::slice::from_ref(&key)).unwrap();
    let changed: Note = text.replace("example message", "exemple message").parse().unwrap();
    assert_eq!(
        changed.verify(std::slice::from_ref(&key)),
        Err(NoteError::WrongSignature("example.com/foo".to_owned()))
    );
    let other = signer("example.com/foo", Algorithm::Ed25519, 1);
    assert_eq!(note.verify(&[other.verifier().clone()]), Err(NoteError::Unsigned));
    same_after_parsing(&key);
}

#[test]
fn a_checkpoint_is_accepted_from_its_log_only() {
    let checkpoint = checkpoint(7, entry_hash(b"root"));
    let (old, new) = (signer(ORIGIN, Algorithm::Ed25519, 1), signer(ORIGIN, Algorithm::Ed25519, 2));
    let note = checkpoint.sign(&[old.clone(), new.clone()]);
    same_after_parsing(&note);
    for key in [&old, &new] {
        assert_eq!(Checkpoint::open(&note, &[key.verifier().clone()]), Ok(checkpoint.clone()));
    }
    let other = signer("example.org/other", Algorithm::Ed25519, 3);
    let foreign = checkpoint.sign(std::slice::from_ref(&other));
    for note in [&note, &foreign] {
        assert_eq!(
            Checkpoint::open(note, &[other.verifier().clone()]).map_err(|error| error.to_string()),
            Err(format!(
                "the checkpoint is of another origin, {ORIGIN}; that of the keys is example.org/other"
            ))
        );
    }
    assert_eq!(
        Checkpoint::open(&foreign, &[old.verifier().clone()]),
        Err(CheckpointError::Note(NoteError::Unsigned))
    );
}

#[test]
fn a_cosignature_says_when_and_of_what() {
    let witness = signer("witness.example", Algorithm::Cosignature, 9);
    let log = signer(ORIGIN, Algorithm::Ed25519, 1);
    let checkpoint = checkpoint(1, entry_hash(b"root"));
    let note = checkpoint.sign(&[log]);
    assert_eq!(cosigned_at(&note, witness.verifier()), Ok(None));
    let cosignature = cosign(&witness, &note.text, 1_679_315_147);
    let cosigned = note.clone().with(cosignature.clone());
    assert_eq!(cosigned_at(&cosigned, witness.verifier()), Ok(Some(1_679_315_147)));
    same_after_parsing(&cosigned);
    let mut later = cosignature;
    later.bytes[7] += 1;
    assert!(cosigned_at(&note.with(later), witness.verifier()).is_err());
    // It is not a signature of the note itself.
    assert_eq!(cosigned.verify(&[witness.verifier().clone()]), Err(NoteError::Unsigned));
}

#[test]
fn a_proof_shows_one_entry_at_one_place() {
    let log = signer(ORIGIN, Algorithm::Ed25519, 1);
    let leaves: Vec<Hash> = (0..5_u8).map(|n| leaf_hash(&[n])).collect();
    let checkpoint = checkpoint(5, root_of(&leaves).unwrap());
    let proof = InclusionProof {
        index: 4,
        hashes: vec![root_of(&leaves[..4]).unwrap()],
        checkpoint: checkpoint.sign(std::slice::from_ref(&log)),
        extra: None,
    };
    same_after_parsing(&proof);
    let keys = [log.verifier().clone()];
    assert_eq!(proof.verify(leaves[4], &keys), Ok(checkpoint));
    assert!(matches!(proof.verify(leaves[3], &keys), Err(ProofError::Inclusion(_))));
    let elsewhere = InclusionProof { index: 3, ..proof.clone() };
    assert!(matches!(elsewhere.verify(leaves[4], &keys), Err(ProofError::Inclusion(_))));
    let receipt = InclusionProof { extra: Some(b"abc".to_vec()), ..proof.clone() };
    same_after_parsing(&receipt);
    let with_extra = proof.to_string().replacen("index", "extra YWJj\nindex", 1);
    assert_eq!(receipt.to_string(), with_extra);
    for broken in [
        proof.to_string().replacen("@v1", "@v2", 1),
        proof.to_string().replacen("index 4", "index 04", 1),
        proof.to_string().replacen("index 4", "index +4", 1),
        proof.to_string().replacen("\n\n", "\n", 1),
        proof.to_string().replacen("index", "extra !\nindex", 1),
    ] {
        assert!(broken.parse::<InclusionProof>().is_err(), "{broken}");
    }
}

#[test]
fn what_a_log_sends_to_a_witness_is_read_back() {
    let log = signer(ORIGIN, Algorithm::Ed25519, 1);
    let checkpoint = checkpoint(9, entry_hash(b"root"));
    let request = AddCheckpoint {
        old_size: 3,
        proof: vec![entry_hash(b"a"), entry_hash(b"b")],
        checkpoint: checkpoint.sign(&[log]),
    };
    same_after_parsing(&request);
    let many = AddCheckpoint { proof: vec![entry_hash(b"a"); 64], ..request.clone() };
    assert!(many.to_string().parse::<AddCheckpoint>().is_err(), "63 hashes at most");
    assert!(request.to_string().replacen("old 3", "old", 1).parse::<AddCheckpoint>().is_err());
}

#[test]
fn malformed_notes_and_keys_are_refused() {
    for note in [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n— name !!\n",
        "text\n\n— a+b AAAAAAA=\n",
        "text\n\n- name AAAAAAA=\n",
        "text\n\n— name AAAAAA==\n",
        "text\t\n\n— name AAAAAAA=\n",
        "text\n\n— name AAAAAAA=",
    ] {
        assert!(note.parse::<Note>().is_err(), "{note:?}");
    }
    for key in [
        "",
        "name",
        "name+00000000+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ] {
        assert!(key.parse::<VerifierKey>().is_err(), "{key}");
    }
    for text in ["o\n01\nAAAA\n", "o\n1\n", "\n1\nx\n", "o\n1\nx\n"] {
        assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
    }
}
