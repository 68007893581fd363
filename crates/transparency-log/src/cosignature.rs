//! Cosignatures of witnesses (C2SP `tlog-cosignature`, Ed25519): a witness saw a checkpoint at some time.

use crate::note::{Algorithm, Note, NoteError, Signature, Signer, VerifierKey};

/// The cosignature of the text of a checkpoint, seen at `seconds` since 1970. The signer's algorithm should be
/// [`Algorithm::Cosignature`].
pub fn cosign(signer: &Signer, text: &str, seconds: u64) -> Signature {
    let signature = signer.sign_bytes(message(text, seconds).as_bytes());
    signer.signature([seconds.to_be_bytes().as_slice(), &signature].concat())
}

/// When the witness of `key` has cosigned the note, in seconds since 1970; `None` when it has not.
///
/// # Errors
/// When a cosignature with its name is invalid.
pub fn cosigned_at(note: &Note, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
    let wrong = || NoteError::WrongSignature(key.name().to_owned());
    let of_witness =
        |signature: &&Signature| key.algorithm() == Algorithm::Cosignature && key.is_of(signature);
    let Some(signature) = note.signatures.iter().find(of_witness) else {
        return Ok(None);
    };
    let (seconds, signature) = signature.bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
    let seconds = u64::from_be_bytes(*seconds);
    let is_time = i64::try_from(seconds).is_ok();
    if is_time && key.has_signed(message(&note.text, seconds).as_bytes(), signature) {
        Ok(Some(seconds))
    } else {
        Err(wrong())
    }
}

fn message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}
