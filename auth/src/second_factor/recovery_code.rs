//! Recovery codes for people whose phone is lost. Each has 120 random bits, which cannot be guessed, so its hash
//! needs no salt and no work factor (ASVS 5.0, 6.5.2, requires 112 bits).

use data_encoding::BASE32_NOPAD;
use events::{SecretHash, sha256};
use zeroize::Zeroizing;

/// The number of codes for an account.
const CODES: usize = 10;
const BYTES: usize = 15;
const CHARACTERS: usize = 24;

/// New codes, in the form `ABCD-EFGH-IJKL-MNOP-QRST-UVWX`.
pub(super) fn generate() -> Vec<Zeroizing<String>> {
    let code = || {
        let mut bytes = Zeroizing::new([0; BYTES]);
        runtime::fill_random(bytes.as_mut_slice());
        let text = Zeroizing::new(BASE32_NOPAD.encode(bytes.as_slice()));
        let groups = [0, 4, 8, 12, 16, 20].map(|start| &text[start..start + 4]);
        Zeroizing::new(groups.join("-"))
    };
    std::iter::repeat_with(code).take(CODES).collect()
}

/// Hex SHA-256 of a code in any spelling; `None` for an invalid text.
pub(super) fn hash(code: &str) -> Option<SecretHash> {
    let is_separator = |c: char| c == '-' || c.is_whitespace();
    let plain: Zeroizing<String> = Zeroizing::new(
        code.chars()
            .filter(|c| !is_separator(*c))
            .map(|c| c.to_ascii_uppercase())
            .take(CHARACTERS + 1)
            .collect(),
    );
    let is_code = plain.len() == CHARACTERS && BASE32_NOPAD.decode(plain.as_bytes()).is_ok();
    is_code.then(|| sha256(plain.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_counts_however_it_is_written() {
        let codes = generate();
        assert_eq!(codes.len(), CODES);
        assert_ne!(codes[0], codes[1]);
        let hash_of = |text: &str| hash(text).unwrap();
        let code = codes[0].as_str();
        assert_eq!(code.len(), 29);
        assert_eq!(hash_of(code), hash_of(&code.to_lowercase().replace('-', " ")));
        assert_eq!(hash_of(code), hash_of(&code.replace('-', "")));
        for not in [
            "",
            "123456",
            // Only 80 bits, which could be guessed from the hash.
            "MFRG-GZDF-MZTW-Q2LK",
            "ABCD-EFGH-IJKL-MNO",
            "ABCD-EFGH-IJKL-MNOPQ",
            "ABCD-EFGH-IJKL-MNO1",
            "ABCD-EFGH-IJKL-MNOP-QRST-UVWXY",
        ] {
            assert_eq!(hash(not), None, "{not}");
        }
    }
}
