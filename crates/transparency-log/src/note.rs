//! Signed notes (C2SP `signed-note`): a text, an empty line, and lines with signatures of it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signer as _, SigningKey, VerifyingKey,
    pkcs8::{EncodePublicKey as _, spki::der::pem::LineEnding},
};
use sha2::{Digest as _, Sha256};

/// The most signatures of a note that are read. The specification requires at least 16.
const MAX_SIGNATURES: usize = 64;

/// Why a note is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum NoteError {
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    #[error("the note has no signature of a key that is trusted")]
    Unsigned,
    /// A signature with the name and id of a trusted key is wrong.
    #[error("the signature of {0} is wrong: the note was changed, or somebody else has signed it")]
    WrongSignature(String),
    #[error("not a verifier key: expected name+hash+key as C2SP signed-note has it")]
    Key,
}

/// What a key signs, from the first byte of its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// The text of a note, with Ed25519.
    Ed25519,
    /// A checkpoint and the time at which it was seen, with Ed25519 (`tlog-cosignature`).
    Cosignature,
}

impl Algorithm {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A name and a public key: `name+hash+key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    key: VerifyingKey,
}

/// A name and a private key.
#[derive(Clone)]
pub struct Signer {
    verifier: VerifierKey,
    key: SigningKey,
}

/// A line with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// Distinguishes keys with the same name.
    pub key_id: [u8; 4],
    /// The rest of the signature: for Ed25519 the 64 bytes of RFC 8032.
    pub bytes: Vec<u8>,
}

/// A text with its signatures, which are not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The text, which ends with a newline.
    pub text: String,
    /// Its signatures, in order.
    pub signatures: Vec<Signature>,
}

impl VerifierKey {
    /// A key with this name.
    ///
    /// # Errors
    /// When no key can have this name.
    pub fn new(name: &str, algorithm: Algorithm, key: VerifyingKey) -> Result<Self, NoteError> {
        let is_name =
            !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control());
        if !is_name {
            return Err(NoteError::Key);
        }
        Ok(Self { name: name.to_owned(), algorithm, key })
    }

    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key.
    pub fn public_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The public key as PEM (RFC 8410), for other tools.
    ///
    /// # Errors
    /// Never: every key can be written.
    pub fn to_pem(&self) -> Result<String, NoteError> {
        self.key.to_public_key_pem(LineEnding::LF).map_err(|_| NoteError::Key)
    }

    /// The key id: the first four bytes of the hash of its name, algorithm and public key.
    pub fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.algorithm.byte()])
            .chain_update(self.key.as_bytes())
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Whether a signature has the name and id of this key.
    pub fn is_of(&self, signature: &Signature) -> bool {
        signature.name == self.name && signature.key_id == self.id()
    }

    /// Whether `signature` is this key's signature of `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.byte()], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let algorithm = match key.first() {
            Some(0x01) => Algorithm::Ed25519,
            Some(0x04) => Algorithm::Cosignature,
            _ => return Err(NoteError::Key),
        };
        let bytes = <[u8; 32]>::try_from(&key[1..]).map_err(|_| NoteError::Key)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NoteError::Key)?;
        let verifier = Self::new(name, algorithm, key)?;
        // The id is also a checksum.
        if hex::encode(verifier.id()) == id { Ok(verifier) } else { Err(NoteError::Key) }
    }
}

impl Signer {
    /// A signer with this name.
    ///
    /// # Errors
    /// When no key can have this name.
    pub fn new(name: &str, algorithm: Algorithm, key: SigningKey) -> Result<Self, NoteError> {
        let verifier = VerifierKey::new(name, algorithm, key.verifying_key())?;
        Ok(Self { verifier, key })
    }

    /// Its public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The Ed25519 signature of `message`.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// A signature of the text of a note.
    pub fn sign(&self, text: &str) -> Signature {
        self.signature(self.sign_bytes(text.as_bytes()).to_vec())
    }

    pub(crate) fn signature(&self, bytes: Vec<u8>) -> Signature {
        Signature { name: self.verifier.name.clone(), key_id: self.verifier.id(), bytes }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl fmt::Display for Signature {
    /// The line, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_slice(), &self.bytes].concat();
        write!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    fn from_str(line: &str) -> Result<Self, NoteError> {
        const WRONG: NoteError = NoteError::Malformed("a line of signature is not `— name base64`");
        let (name, bytes) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(WRONG)?;
        let bytes = STANDARD.decode(bytes).map_err(|_| WRONG)?;
        let (key_id, bytes) = bytes.split_first_chunk::<4>().ok_or(WRONG)?;
        let is_name = !name.is_empty() && !name.contains('+');
        if !is_name || bytes.is_empty() {
            return Err(WRONG);
        }
        Ok(Self { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

impl Note {
    /// The note with one more signature.
    #[must_use]
    pub fn with(mut self, signature: Signature) -> Self {
        self.signatures.push(signature);
        self
    }

    /// Verifies that at least one of `keys` has signed the text, and that no signature of any of them is wrong.
    ///
    /// # Errors
    /// When none has, or one is wrong.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<(), NoteError> {
        let mut is_signed = false;
        for signature in &self.signatures {
            let of_note = |key: &&VerifierKey| key.algorithm == Algorithm::Ed25519 && key.is_of(signature);
            if let Some(key) = keys.iter().find(of_note) {
                if !key.has_signed(self.text.as_bytes(), &signature.bytes) {
                    return Err(NoteError::WrongSignature(key.name.clone()));
                }
                is_signed = true;
            }
        }
        if is_signed { Ok(()) } else { Err(NoteError::Unsigned) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        let malformed = |what| Err(NoteError::Malformed(what));
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return malformed("it has control characters");
        }
        let Some(end) = note.rfind("\n\n") else {
            return malformed("it has no empty line before its signatures");
        };
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let Some(lines) = lines.strip_suffix('\n') else {
            return malformed("it does not end with a line of signature");
        };
        let lines: Vec<&str> = lines.split('\n').collect();
        if lines.len() > MAX_SIGNATURES {
            return malformed("it has too many signatures");
        }
        let signatures = lines.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }
}
