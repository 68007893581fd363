//! Versions in headers, and conditions on them.

use super::*;

fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
    values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
}

#[test]
fn if_match_is_strong() {
    let read = |values: &[&'static str]| if_match(&headers(header::IF_MATCH, values));
    let versions = |versions: &[u64]| Some(Named::Versions(versions.to_vec()));
    assert_eq!(read(&[]).unwrap(), None);
    assert_eq!(read(&["*"]).unwrap(), Some(Named::Any));
    assert_eq!(read(&["\"3\""]).unwrap(), versions(&[3]));
    assert_eq!(read(&["\"3\" , \"4\"", "\"5\""]).unwrap(), versions(&[3, 4, 5]));
    assert_eq!(read(&["W/\"3\""]).unwrap(), versions(&[]));
    assert_eq!(read(&["\"a,b\", \"03\", \"7\""]).unwrap(), versions(&[7]));
}

#[test]
fn what_is_no_list_of_tags_is_a_bad_parameter() {
    for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
        for bad in [
            &["3"][..],
            &["\"3"],
            &[""],
            &["\"3\"4"],
            &["w/\"3\""],
            // `*` is no member of a list, whatever line it stands on.
            &["*, \"3\""],
            &["*", "\"3\""],
            &["\"3\"", "*"],
        ] {
            let read = Preconditions::of(&headers(name.clone(), bad));
            assert_eq!(read.unwrap_err().code(), "bad-parameter", "{name}: {bad:?}");
        }
    }
}

#[test]
fn if_none_match_is_weak() {
    let read = |values: &[&'static str]| {
        Preconditions::of(&headers(header::IF_NONE_MATCH, values)).unwrap().of_read(3)
    };
    for names in [&["\"3\""][..], &["W/\"3\""], &["*"], &["\"1\", \"3\""]] {
        assert_eq!(read(names), ReadOutcome::NotModified, "{names:?}");
    }
    for other in [&["\"4\""][..], &["\"x\""], &[]] {
        assert_eq!(read(other), ReadOutcome::Show, "{other:?}");
    }
    assert_eq!(etag(3), "\"3\"");
}

#[test]
fn a_tag_that_is_no_version_is_compared_as_it_is() {
    let etag = HeaderValue::from_static("\"a-b_c\"");
    let read = |name: &HeaderName, value: &'static str| {
        outcome_of_read(&headers(name.clone(), &[value]), &etag).unwrap()
    };
    let (if_match, if_none_match) = (&header::IF_MATCH, &header::IF_NONE_MATCH);
    for named in ["\"a-b_c\"", "*", "\"3\", \"a-b_c\""] {
        assert_eq!(read(if_match, named), ReadOutcome::Show, "{named}");
        assert_eq!(read(if_none_match, named), ReadOutcome::NotModified, "{named}");
    }
    assert_eq!(read(if_match, "W/\"a-b_c\""), ReadOutcome::Mismatch);
    assert_eq!(read(if_none_match, "W/\"a-b_c\""), ReadOutcome::NotModified);
    assert_eq!(read(if_match, "\"a\""), ReadOutcome::Mismatch);
    assert_eq!(read(if_none_match, "\"a\""), ReadOutcome::Show);
    let none = HeaderMap::new();
    assert_eq!(outcome_of_read(&none, &etag).unwrap(), ReadOutcome::Show);
    let bad = headers(if_match.clone(), &["a-b_c"]);
    assert_eq!(outcome_of_read(&bad, &etag).unwrap_err().code(), "bad-parameter");
}

#[test]
fn what_has_no_version_meets_no_tag() {
    let holds = |name: HeaderName, value: &'static str, is_there: bool| {
        let conditions = Preconditions::of(&headers(name, &[value])).unwrap();
        let checked = conditions.check_without_version(is_there);
        checked.map_err(|problem| assert_eq!(problem.code(), "version-mismatch")).is_ok()
    };
    for (value, is_there, of_match, of_none) in [
        ("*", true, true, false),
        ("*", false, false, true),
        ("\"3\"", true, false, true),
        ("W/\"3\"", true, false, true),
        ("\"3\"", false, false, true),
    ] {
        assert_eq!(holds(header::IF_MATCH, value, is_there), of_match, "{value}");
        assert_eq!(holds(header::IF_NONE_MATCH, value, is_there), of_none, "{value}");
    }
    assert!(Preconditions::default().check_without_version(false).is_ok());
}

#[test]
fn if_match_comes_first() {
    let mut both = headers(header::IF_MATCH, &["\"4\""]);
    both.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"3\""));
    let read = Preconditions::of(&both).unwrap();
    assert_eq!(read.of_read(3), ReadOutcome::Mismatch);
    assert_eq!(read.of_read(4), ReadOutcome::Show);
}
