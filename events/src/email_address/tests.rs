//! Which texts are addresses, and which texts are the same address.

use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    EmailAddress::parse(text).unwrap_or_else(|error| panic!("{text:?} {error}")).canonical().to_owned()
}

#[test]
fn takes_what_can_be_an_address() {
    for text in [
        "ada@example.com",
        " ada@example.com\t",
        "a@b",
        "ada.lovelace+tasks@mail.example.co.uk",
        "o'brien@example.com",
        "ада@пример.рф",
        "用户@例子.公司",
        "ada@r3---sn.example.com",
    ] {
        assert_eq!(EmailAddress::parse(text).unwrap().as_str(), text.trim(), "{text:?}");
    }
}

#[test]
fn refuses_what_cannot() {
    for text in [
        "",
        " ",
        "ada",
        "@",
        "ada@",
        "@example.com",
        "ada@@example.com",
        "a@b@c",
        "ada lovelace@example.com",
        "ada@exam ple.com",
        "ada@example..com",
        "ada@.example.com",
        "ada@example.com.",
        "ada\u{0}@example.com",
        "ada@exa\nmple.com",
        "ada@example.com>",
        "ada@example,com",
        "<script>@x.org",
        "\"ada\"@example.com",
        "ada..l@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "ada@-x-.org",
        "ada@x-.org",
        "ada@[::1]",
        "ada@[192.0.2.1]",
        "ada@exa_mple.com",
        "ada@xn--\u{0}.com",
        "ada@xn--a.com",
        // U+FF20 is a full-width commercial at.
        "ada＠b@example.com",
        "ada@b＠example.com",
    ] {
        assert_eq!(EmailAddress::parse(text), Err(NotAnAddress::Malformed), "{text:?}");
    }
}

#[test]
fn characters_that_nobody_sees_make_no_other_address() {
    for invisible in [
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{17b4}',
        '\u{180b}',
        '\u{180e}',
        '\u{200b}',
        '\u{200d}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{206f}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff0}',
        '\u{1bca0}',
        '\u{1d173}',
        '\u{e0041}',
        '\u{e0100}',
    ] {
        for text in
            [format!("{invisible}z{invisible}@example.org "), format!("z@exam{invisible}ple.org{invisible}")]
        {
            let address = EmailAddress::parse(&text);
            assert_eq!(address, EmailAddress::parse("z@example.org"), "{text:?}");
        }
    }
}

#[test]
fn lengths_are_counted_in_octets() {
    let domain = ["a".repeat(63), "b".repeat(63), "c".repeat(60)].join(".");
    let local = |octets: usize| "l".repeat(octets);
    assert_eq!(canonical(&format!("{}@{domain}", local(64 - 2))).len(), 251);
    assert!(EmailAddress::parse(&format!("{}@{domain}", local(64))).is_ok());
    let too_long = Err(NotAnAddress::TooLong);
    assert_eq!(EmailAddress::parse(&format!("{}@{domain}d", local(64))).map(drop), Ok(()));
    assert_eq!(EmailAddress::parse(&format!("{}@{domain}dd", local(64))), too_long);
    assert_eq!(EmailAddress::parse(&format!("{}@b", local(65))), too_long);
    assert_eq!(EmailAddress::parse(&format!("{}@b", "ж".repeat(33))), too_long);
    assert_eq!(EmailAddress::parse(&format!("a@{}.org", "x".repeat(64))), Err(NotAnAddress::Malformed));
    assert_eq!(EmailAddress::parse(&"x".repeat(2_000)), too_long);
}

#[test]
fn the_spellings_of_one_address_are_one_address() {
    for same in [
        &["ada@example.com", "ADA@Example.COM", "ａｄａ@example.com", " ada@example.com"][..],
        &[
            "u@bücher.example",
            "U@BÜCHER.example",
            "u@xn--bcher-kva.example",
            "u@XN--BCHER-KVA.EXAMPLE",
            "u@bu\u{308}cher.example",
            "u@bücher。example",
            "u@bücher．example",
        ],
        &["a@пример.рф", "a@ПРИМЕР.РФ", "a@xn--e1afmkfd.xn--p1ai"],
        &["z@example.org", "z@example。org", "z@example｡org", "z@ｅxample.org"],
        &["σας@example.org", "ΣΑΣ@example.org", "σασ@example.org"],
        &["jürgen@example.org", "JÜRGEN@example.org", "ju\u{308}rgen@example.org"],
    ] {
        for text in same {
            assert_eq!(canonical(text), canonical(same[0]), "{text}");
        }
    }
    assert_ne!(canonical("ada.l@example.com"), canonical("adal@example.com"));
}

#[test]
fn plain_addresses_keep_the_form_that_their_claims_were_made_with() {
    for (text, form) in [
        ("ada@example.com", "ada@example.com"),
        ("Ada.Lovelace+Tasks@Mail.Example.co.uk", "ada.lovelace+tasks@mail.example.co.uk"),
        ("O'Brien@example.com", "o'brien@example.com"),
        ("a@localhost", "a@localhost"),
    ] {
        assert_eq!(canonical(text), form);
    }
}

#[test]
fn a_search_finds_either_spelling_of_a_domain() {
    let text = EmailAddress::parse("Ada@xn--bcher-kva.example").unwrap().search_text();
    for part in ["bücher", "BÜCHER", "xn--bcher", "ADA@", "ada@bücher.example", "ada@xn--bcher-kva.example"]
    {
        assert!(text.contains(&fold_part_of_address(part)), "{part}: {text}");
    }
    assert_eq!(EmailAddress::parse("ada@example.com").unwrap().search_text(), "ada@example.com");
}

/// The letters of scripts with case. Folding changes some that domains have: `ß`, `ς`, `ı`, and all of Cherokee.
fn letters() -> impl Iterator<Item = char> {
    [0xdf..=0x24f_u32, 0x370..=0x52f, 0x13a0..=0x13ff, 0xab70..=0xabbf]
        .into_iter()
        .flatten()
        .filter_map(char::from_u32)
        .filter(|c| c.is_alphabetic())
}

#[test]
fn an_address_and_its_domain_are_found_whatever_letters_they_have() {
    for address in letters().map(|letter| format!("ada@x{letter}y.example")) {
        let Ok(parsed) = EmailAddress::parse(&address) else {
            continue;
        };
        let text = parsed.search_text();
        let (_, domain) = address.split_once('@').unwrap();
        for part in [&*address, domain, parsed.canonical()] {
            assert!(text.contains(&fold_part_of_address(part)), "{part}: {text}");
        }
        assert_eq!(parsed.parts()[1], fold_text(domain));
        for password in [&*address, &*address.to_uppercase(), parsed.canonical()] {
            assert!(parsed.is_part_of(&format!("My {password}!")), "{password}");
        }
    }
    let sharp = EmailAddress::parse("ada@faß.example").unwrap();
    assert!(!sharp.is_part_of("ada@fa.example"));
    assert_ne!(sharp.canonical(), canonical("ada@fass.example"));
}

proptest! {
    #[test]
    fn the_canonical_form_is_an_address_that_is_its_own_form(text in "\\PC{0,40}@\\PC{1,40}") {
        if let Ok(address) = EmailAddress::parse(&text) {
            let visible = visible(&text);
            prop_assert_eq!(address.as_str(), visible.trim());
            prop_assert_eq!(address.canonical().matches('@').count(), 1);
            let again = EmailAddress::parse(address.canonical()).map(|again| again.canonical().to_owned());
            prop_assert_eq!(again.as_deref(), Ok(address.canonical()));
        }
    }

    #[test]
    fn case_makes_no_difference(local in "[a-z0-9+-]{1,20}", domain in "[a-z0-9]{1,10}\\.[a-z]{2,5}") {
        let lower = format!("{local}@{domain}");
        prop_assert_eq!(canonical(&lower), canonical(&lower.to_uppercase()));
    }
}
