//! docs/security.md covers every requirement, and every test that it names as proof exists.

use std::{collections::BTreeMap, fs, path::Path};

const PAGE: &str = include_str!("../docs/security.md");

/// OWASP ASVS 5.0.0, levels 1 and 2: the numbers of the requirements in each section that the page covers.
const REQUIREMENTS: [(&str, &[u8]); 62] = [
    ("1.1", &[1, 2]),
    ("1.2", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("1.3", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ("1.4", &[1, 2, 3]),
    ("1.5", &[1, 2]),
    ("2.1", &[1, 2, 3]),
    ("2.2", &[1, 2, 3]),
    ("2.3", &[1, 2, 3, 4]),
    ("2.4", &[1]),
    ("3.2", &[1, 2]),
    ("3.3", &[1, 2, 3, 4]),
    ("3.4", &[1, 2, 3, 4, 5, 6]),
    ("3.5", &[1, 2, 3, 4, 5]),
    ("3.7", &[1, 2]),
    ("4.1", &[1, 2, 3]),
    ("4.2", &[1]),
    ("4.3", &[1, 2]),
    ("4.4", &[1, 2, 3, 4]),
    ("6.1", &[1, 2, 3]),
    ("6.2", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ("6.3", &[1, 2, 3, 4]),
    ("6.4", &[1, 2, 3, 4]),
    ("6.5", &[1, 2, 3, 4, 5]),
    ("6.6", &[1, 2, 3]),
    ("6.8", &[1, 2, 3, 4]),
    ("7.1", &[1, 2, 3]),
    ("7.2", &[1, 2, 3, 4]),
    ("7.3", &[1, 2]),
    ("7.4", &[1, 2, 3, 4, 5]),
    ("7.5", &[1, 2]),
    ("7.6", &[1, 2]),
    ("8.1", &[1, 2]),
    ("8.2", &[1, 2, 3]),
    ("8.3", &[1]),
    ("8.4", &[1]),
    ("9.1", &[1, 2, 3]),
    ("9.2", &[1, 2, 3, 4]),
    // These are the requirements about refresh tokens.
    ("10.4", &[5, 8, 9]),
    ("11.1", &[1, 2]),
    ("11.2", &[1, 2, 3]),
    ("11.3", &[1, 2, 3]),
    ("11.4", &[1, 2, 3, 4]),
    ("11.5", &[1]),
    ("11.6", &[1]),
    ("12.1", &[1, 2, 3]),
    ("12.2", &[1, 2]),
    ("12.3", &[1, 2, 3, 4]),
    ("13.1", &[1]),
    ("13.2", &[1, 2, 3, 4, 5]),
    ("13.3", &[1, 2]),
    ("13.4", &[1, 2, 3, 4, 5]),
    ("14.1", &[1, 2]),
    ("14.2", &[1, 2, 3, 4]),
    ("14.3", &[1, 2, 3]),
    ("15.1", &[1, 2, 3]),
    ("15.2", &[1, 2, 3]),
    ("15.3", &[1, 2, 3, 4, 5, 6, 7]),
    ("16.1", &[1]),
    ("16.2", &[1, 2, 3, 4, 5]),
    ("16.3", &[1, 2, 3, 4]),
    ("16.4", &[1, 2, 3]),
    ("16.5", &[1, 2, 3]),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The part of the page about the standard.
fn about_asvs() -> &'static str {
    PAGE.split_once("\n## OWASP ASVS 5.0\n").unwrap().1
}

/// The numbers of requirements in a text, such as `6.2.12`.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.split('.').filter(|part| !part.is_empty()).count() == 3)
}

#[test]
fn every_requirement_is_spoken_of_once() {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut note = |text: &str| {
        for number in numbers(text) {
            *found.entry(number.to_owned()).or_default() += 1;
        }
    };
    for paragraph in about_asvs().split("\n\n") {
        if paragraph.starts_with("Not applicable:") {
            note(paragraph);
        }
        for row in paragraph.lines().filter_map(|line| line.strip_prefix("| ")) {
            note(row.split('|').next().unwrap());
        }
    }
    for (section, requirements) in REQUIREMENTS {
        for requirement in requirements {
            let number = format!("{section}.{requirement}");
            assert_eq!(found.remove(&number), Some(1), "{number}");
        }
    }
    assert!(found.is_empty(), "not in the standard: {found:?}");
}

/// Returns whether Rust source text defines `name`.
fn defines(source: &str, name: &str) -> bool {
    source.contains(&format!("fn {name}("))
}

#[test]
fn what_it_names_exists() {
    let mut tests = 0;
    for quoted in PAGE.split('`').skip(1).step_by(2) {
        let (path, test) = quoted.split_once("::").unwrap_or((quoted, ""));
        let is_path = path.contains('/') && !path.contains(' ') && Path::new(path).extension().is_some();
        if !is_path || path.starts_with("keys/") || path.starts_with('/') {
            continue;
        }
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        if !test.is_empty() {
            assert!(defines(&text, test), "{path} has no {test}");
            tests += 1;
        }
    }
    assert!(tests > 80, "{tests}");
}

#[test]
fn every_row_of_a_table_of_requirements_names_a_proof() {
    for row in about_asvs().lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let [number, how, proof] = &cells[..] else { panic!("three cells: {row}") };
        let is_head = number.trim().is_empty();
        assert!(is_head || proof.contains('`') || proof.contains("]("), "{row}");
        assert!(!how.trim().is_empty(), "{row}");
    }
}
