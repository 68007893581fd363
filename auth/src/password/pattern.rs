//! Finds passwords that are long but quickly guessed, because one rule generates them: a repeated short pattern, or
//! runs along the keyboard or the alphabet.

/// The sequences of runs, in either direction: alphabets, digits, rows and columns of keyboards.
const RUNS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "01234567890",
    "!@#$%^&*()_+",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiopü",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "йцукенгшщзхъ",
    "фывапролджэ",
    "ячсмитьбю",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
];
/// The average length of a run in a password that has only runs.
const CHARACTERS_OF_A_RUN: usize = 4;
/// A password with this many runs is not a simple one.
const MANY_RUNS: usize = 8;

/// Whether `characters` repeat a pattern of fewer than `shortest` characters. The last one may be incomplete.
pub(super) fn is_repeated(characters: &[char], shortest: usize) -> bool {
    let repeats_after =
        |period: usize| characters.iter().zip(&characters[period..]).all(|(one, later)| one == later);
    (1..=characters.len() / 2).take_while(|period| *period < shortest).any(repeats_after)
}

/// Whether `characters`, in lower case, consist mostly of a few runs.
pub(super) fn is_sequence(characters: &[char]) -> bool {
    let breaks = characters.windows(2).filter(|pair| !continues(pair[0], pair[1])).count();
    let runs = 1 + breaks;
    runs < MANY_RUNS && runs * CHARACTERS_OF_A_RUN <= characters.len()
}

/// Whether `next` continues the run of `one`: the same character, or its neighbour.
fn continues(one: char, next: char) -> bool {
    let are_neighbours = |run: &&str| {
        run.chars().zip(run.chars().skip(1)).any(|pair| pair == (one, next) || pair == (next, one))
    };
    one == next || RUNS.iter().any(are_neighbours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn characters(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn a_short_pattern_again_and_again_is_repeated() {
        for text in [
            "111111111111111",
            "abababababababa",
            "trustno1trustno1",
            "hunter22hunter22hunt",
            "🦀🐢🦀🐢🦀🐢🦀🐢",
        ] {
            assert!(is_repeated(&characters(text), 15), "{text}");
        }
        let long = "quartz-lantern-river";
        assert!(!is_repeated(&characters(&long.repeat(2)), 15), "as strong as its half");
        assert!(!is_repeated(&characters("plum-tractor-canyon"), 15));
        assert!(!is_repeated(&[], 15) && !is_repeated(&['a'], 15));
    }

    #[test]
    fn runs_along_the_keyboard_and_the_alphabet_are_sequences() {
        for text in [
            "abcdefghijklmno",
            "ponmlkjihgfedcba",
            "1234567890123456",
            "9876543210987654",
            "qwertyuiopasdfgh",
            "aaaaabbbbbccccc",
            "111222333444555",
            "1qaz2wsx3edc4rfv",
            "йцукенгшщзфывапр",
            "abcdefgh12345678",
        ] {
            assert!(is_sequence(&characters(text)), "{text}");
        }
        for text in [
            "plum-tractor-canyon",
            "correct horse battery",
            "a rather long passphrase",
            "1234 tractor canyon",
            "",
        ] {
            assert!(!is_sequence(&characters(text)), "{text}");
        }
    }
}
