//! The different encodings of a text, and a search for them.

use std::{
    ascii,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    process::Command,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use events::{EmailAddress, fold_text};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// All encodings of `text`: other Unicode forms, and those that programs use. ASCII case is ignored.
pub(super) fn spellings(text: &str) -> BTreeSet<String> {
    let mut texts = BTreeSet::from([text.to_owned(), text.to_lowercase(), text.to_uppercase()]);
    texts.insert(fold_text(text));
    if let Ok(address) = EmailAddress::parse(text) {
        texts.insert(address.canonical().to_owned());
    }
    texts.iter().flat_map(|text| encodings(text)).collect()
}

fn encodings(text: &str) -> Vec<String> {
    let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let escaped: Vec<u8> = text.bytes().flat_map(ascii::escape_default).collect();
    let hexadecimal = text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let numbers: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    let mut found = vec![
        text.to_owned(),
        percent.replace("%20", "+"),
        percent,
        String::from_utf8(escaped).unwrap(),
        hexadecimal,
        numbers.join(", "),
        numbers.join(","),
    ];
    // Part of the Base64 form is the same whatever comes before and after the text. It depends only on the offset.
    for before in 0..3 {
        let padded = [&vec![0; before], text.as_bytes()].concat();
        let first = [0, 2, 3][before];
        let whole = padded.len() * 8 / 6;
        found.push(STANDARD_NO_PAD.encode(&padded)[first..whole].to_owned());
        found.push(URL_SAFE_NO_PAD.encode(&padded)[first..whole].to_owned());
    }
    found
}

/// The files below `places` that contain one of `texts`, and which. `grep` reads them as bytes.
pub(super) fn found_in(texts: &BTreeSet<String>, places: &[&Path]) -> BTreeMap<String, BTreeSet<String>> {
    let patterns = tempfile::NamedTempFile::new().unwrap();
    let lines: Vec<&str> = texts.iter().map(String::as_str).collect();
    std::fs::write(patterns.path(), lines.join("\n")).unwrap();
    let output = Command::new("grep")
        .env("LC_ALL", "C")
        .args(["-r", "-a", "-o", "-H", "-i", "-F", "--null", "-f"])
        .arg(patterns.path())
        .arg("--")
        .args(places)
        .output()
        .unwrap();
    // A file may disappear while they are read. The exit code is then 2 although others were read.
    assert!(output.status.code().is_some(), "{output:?}");
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (file, text) = line.split_once('\0').unwrap();
        let name = Path::new(file).file_name().unwrap().to_string_lossy().into_owned();
        let texts: &mut BTreeSet<String> = found.entry(name).or_default();
        texts.insert(text.to_ascii_lowercase());
    }
    found
}

#[test]
fn a_text_is_found_however_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let texts = spellings("Zoë.Quagga@Zebrahäuser.example").into_iter();
    let texts: BTreeSet<String> = texts.chain(spellings("quagga-tag größer")).collect();
    for (number, place) in [
        "name=zoë.QUAGGA@zebrahäuser.EXAMPLE;".to_owned(),
        "name=zoë.quagga@xn--zebrahuser-v5a.example".to_owned(),
        STANDARD_NO_PAD.encode("xquagga-tag größer"),
        URL_SAFE_NO_PAD.encode("{\"tag\":\"quagga-tag größer\"}"),
        STANDARD_NO_PAD.encode("xyzquagga-tag größery"),
        "q=quagga%2Dtag%20gr%C3%B6%C3%9Fer".to_owned(),
        "q=quagga%2Dtag+gr%C3%B6%C3%9Fer".to_owned(),
        format!("b\"{}\"", b"quagga-tag gr\xc3\xb6\xc3\x9fer".escape_ascii()),
        format!("{:?}", "quagga-tag größer".as_bytes()),
        r"\x7175616767612d746167206772c3b6c39f6572".to_owned(),
        "quagga-tag GRÖSSER".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let file = directory.path().join(number.to_string());
        std::fs::write(&file, format!("\0\u{1}before{place}")).unwrap();
        assert_eq!(found_in(&texts, &[&file]).len(), 1, "{place}");
    }
    let file = directory.path().join("nothing");
    std::fs::write(&file, "quagga tag and Zoë").unwrap();
    assert_eq!(found_in(&texts, &[&file]), BTreeMap::new());
}
