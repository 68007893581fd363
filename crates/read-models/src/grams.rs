//! The column `grams`: a short signature of the sequences of characters in the searched text of a task.
//!
//! It is a signature file (Faloutsos and Christodoulakis, 1984): a Bloom filter for each row. Every sequence of one,
//! two or three characters, a *gram*, sets a few bits. A text that contains a word has all the bits of the word, so a
//! row without one of them is skipped without reading its text; a row with all of them is only a candidate.

/// Every byte carries six bits and is a printable ASCII character, because SQLite reads a byte of a value only as a
/// character.
const BITS_OF_A_BYTE: usize = 6;
const BASE: u8 = 0b0100_0000;

/// The length of the shortest signature. The longest is at most 32 times as long: an entry with 896 bytes is the
/// largest that SQLite stores within one page of an index.
const MIN_LENGTH: usize = 28;
const MAX_LENGTH: usize = MIN_LENGTH << 7;

/// The longest sequence of characters that has bits.
const MAX_GRAM: usize = 3;

/// The number of bits for a sequence of one, two or three characters. Short sequences get more bits, because a word
/// of one character has no others.
const BITS_OF_A_GRAM: [u8; MAX_GRAM] = [4, 3, 2];

/// One bit of a signature of any length: in the byte at `hash % length`, under `mask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bit {
    /// Below 2^31, so that it is a positive integer in SQL as well.
    pub hash: u32,
    /// One of the six bits of a byte.
    pub mask: u8,
}

/// The bits of a gram.
fn bits(gram: &[char]) -> impl Iterator<Item = Bit> + use<> {
    // A character fits into 21 bits and none is zero, so different grams have different numbers.
    let number = gram.iter().fold(0_u64, |number, c| (number << 21) | u64::from(u32::from(*c)));
    // The finaliser of SplitMix64. Stored rows depend on it: it must never change.
    let hash = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let hash = hash ^ (hash >> 31);
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    let (first, step) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    (0..BITS_OF_A_GRAM[gram.len() - 1]).map(move |n| {
        let hash = first.wrapping_add(step.wrapping_mul(n.into())) & 0x7fff_ffff;
        Bit {
            hash,
            // The mask depends on the high bits, because the index of the byte depends on the low ones.
            mask: 1 << ((hash >> 16) as usize % BITS_OF_A_BYTE),
        }
    })
}

/// The signature of `search_text`: the shortest in which at most a third of all bits is set.
pub fn signature(search_text: &str) -> Vec<u8> {
    let characters: Vec<char> = search_text.chars().collect();
    let mut length = MIN_LENGTH;
    // Long enough for a text in which all grams are different.
    while length < MAX_LENGTH && length < characters.len() * 4 {
        length *= 2;
    }
    let mut bytes = vec![0_u8; length];
    for start in 0..characters.len() {
        for end in start + 1..=(start + MAX_GRAM).min(characters.len()) {
            // No word contains white space, except through the folding of a rare character.
            if characters[end - 1].is_whitespace() {
                break;
            }
            for bit in bits(&characters[start..end]) {
                bytes[bit.hash as usize % length] |= bit.mask;
            }
        }
    }
    while let Some(half) = half(&bytes) {
        bytes = half;
    }
    for byte in &mut bytes {
        *byte |= BASE;
    }
    bytes
}

/// The signature of half the length, unless more than a third of its bits would be set.
fn half(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() == MIN_LENGTH {
        return None;
    }
    let (front, back) = bytes.split_at(bytes.len() / 2);
    let half: Vec<u8> = front.iter().zip(back).map(|(a, b)| a | b).collect();
    let set: usize = half.iter().map(|byte| byte.count_ones() as usize).sum();
    (set * 3 <= half.len() * BITS_OF_A_BYTE).then_some(half)
}

/// The bits of at most `most` grams of a folded `word`, spread over it. The longest grams come first, because they
/// are the rarest.
pub fn bits_of_word(word: &str, most: usize) -> Vec<Bit> {
    let characters: Vec<char> = word.chars().collect();
    let mut grams: Vec<&[char]> = Vec::new();
    for length in (1..=MAX_GRAM.min(characters.len())).rev() {
        let windows: Vec<_> =
            characters.windows(length).filter(|window| !window.iter().any(|c| c.is_whitespace())).collect();
        let wanted = windows.len().min(most - grams.len());
        grams.extend((0..wanted).map(|n| windows[n * windows.len() / wanted]));
        // Single characters add almost nothing to pairs of them.
        if grams.len() >= most || length == 2 {
            break;
        }
    }
    grams.into_iter().flat_map(bits).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn may_contain(signature: &[u8], word: &str) -> bool {
        bits_of_word(word, 6).iter().all(|bit| signature[bit.hash as usize % signature.len()] & bit.mask != 0)
    }

    proptest! {
        #[test]
        fn every_part_of_a_text_is_found_in_its_signature(text in "\\PC{0,300}", from in 0_usize..300, length in 1_usize..20) {
            let part: String = text.chars().skip(from).take(length).collect();
            prop_assert!(may_contain(&signature(&text), &part), "{part:?} in {text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_signature_is_bounded_and_made_of_six_bits_a_byte(text in "\\PC{0,12000}") {
            let signature = signature(&text);
            prop_assert!((MIN_LENGTH..=MAX_LENGTH).contains(&signature.len()));
            prop_assert!(signature.iter().all(|byte| byte & 0b1100_0000 == BASE));
        }
    }

    #[test]
    fn the_bits_of_stored_rows_stay_what_they_are() {
        assert_eq!(signature(""), [BASE; MIN_LENGTH]);
        let text = String::from_utf8(signature("buy milk")).unwrap();
        assert_eq!(text, "THHF@l`dBJ@r@pPAU`@MH`@LqHRd");
    }

    #[test]
    fn nearly_all_words_that_do_not_occur_are_told_from_the_signature() {
        let text = |seed: u32| {
            let word = |n: u32| char::from_u32(0x61 + (n * n + seed * n) % 23).unwrap_or('a');
            (0..1_500)
                .map(|n| format!("{}{}{}{} ", n * 7919 % 10_007, word(n), word(n / 3), word(n / 7)))
                .collect::<String>()
        };
        let signatures: Vec<_> = (0..200).map(|seed| signature(&text(seed))).collect();
        for word in ["z", "語", "zz", "1z", "語本", "a1b", "12345x", "absent", "nowhere"] {
            let candidates = signatures.iter().filter(|signature| may_contain(signature, word)).count();
            assert!(candidates <= 20, "{word}: {candidates} of 200");
        }
    }

    #[test]
    fn the_largest_description_has_the_longest_signature() {
        let text: String = (0..10_000).filter_map(|n| char::from_u32(0x2_0000 + n)).collect();
        let signature = signature(&text);
        assert_eq!(signature.len(), MAX_LENGTH);
        assert!(may_contain(&signature, &text[4_000..4_040]));
    }
}
