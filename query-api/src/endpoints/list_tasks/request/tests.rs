//! Which parameters of a list are understood.

use events::{Priority, Status, Timestamp};
use http_api::Problem;

use super::*;
use crate::tasks::{Sort, SortBy};

fn parsed(query: &str) -> Result<Listing, BadParameter> {
    Parameters::parse(query).and_then(parse)
}

#[test]
fn nothing_asked_for_means_the_newest_fifty_outside_the_trash() {
    let listing = parsed("").unwrap();
    assert_eq!(
        listing,
        Listing { filter: Filter::default(), sort: Sort::default(), limit: 50, cursor: None, count: false }
    );
    assert_eq!(listing.sort, Sort { by: SortBy::CreatedAt, descending: true });
}

#[test]
fn every_parameter_is_read() {
    let listing = parsed(
        "status=open,done&status=open&priority=urgent&priority=low&tag=b,+a&due_after=2026-12-01\
         &due_before=2026-12-01T09:00:00%2B01:00&created_after=2026-01-01&created_before=2027-01-01\
         &updated_after=1970-01-01&updated_before=9999-12-31&completed_after=2026-01-02&completed_before=2026-01-03\
         &overdue=true&q=+Stra%C3%9Fe++50%25&deleted=true&sort=-due&limit=100&cursor=abc&count=true",
    )
    .unwrap();
    let instant = |text: &str| text.parse::<Timestamp>().ok();
    let days = |after: &str, before: &str| Range {
        after: instant(&format!("{after}T00:00:00Z")),
        before: instant(&format!("{before}T00:00:00Z")),
    };
    let texts = |texts: [&str; 2]| texts.map(str::to_owned).into();
    assert_eq!(
        listing.filter,
        Filter {
            statuses: [Status::Open, Status::Done].into(),
            priorities: [Priority::Low, Priority::Urgent].into(),
            tags: texts(["a", "b"]),
            due: Range { after: instant("2026-12-01T00:00:00Z"), before: instant("2026-12-01T08:00:00Z") },
            created: days("2026-01-01", "2027-01-01"),
            updated: days("1970-01-01", "9999-12-31"),
            completed: days("2026-01-02", "2026-01-03"),
            overdue: true,
            words: texts(["strasse", "50%"]),
            deleted: true,
        }
    );
    assert_eq!(listing.sort, Sort { by: SortBy::Due, descending: true });
    assert_eq!((listing.limit, listing.cursor.as_deref(), listing.count), (100, Some("abc"), true));
    assert_eq!(parsed("overdue=false&deleted=false&count=false&limit=50&sort=-created_at"), parsed(""));
}

#[test]
fn words_that_are_said_twice_or_are_parts_of_others_are_dropped() {
    let listing = parsed("q=Report+port+REPORT+r+reporter+x").unwrap();
    assert_eq!(listing.filter.words, ["reporter".to_owned(), "x".to_owned()].into());
    // A repeated word counts once.
    assert!(parsed(&format!("q={}", "a+b+".repeat(60))).is_ok());
}

#[test]
fn an_offset_whose_plus_became_a_space_is_explained() {
    let query = "due_after=2026-12-01T09:00:00+02:00";
    let error = parse(Parameters::parse(query).unwrap()).unwrap_err();
    assert!(Problem::from(error).document().detail.unwrap().contains("%2B"));
}

#[test]
fn what_is_wrong_is_named() {
    for (query, name) in [
        ("status=opened", "status"),
        ("status=Open", "status"),
        ("status=open,", "status"),
        ("status=", "status"),
        ("priority=3", "priority"),
        ("priority=low,,high", "priority"),
        ("tag=", "tag"),
        ("tag=a,%20", "tag"),
        ("tag=a%1Fb", "tag"),
        ("tag=a%00", "tag"),
        ("tag=123456789012345678901234567890123456789012345678901", "tag"),
        ("tag=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21", "tag"),
        ("due_before=tomorrow", "due_before"),
        ("due_before=2026-02-30", "due_before"),
        ("due_after=1969-12-31", "due_after"),
        ("created_after=2026-12-01T09:00:00", "created_after"),
        ("created_before=10000-01-01", "created_before"),
        ("updated_after=2026-12-01T25:00:00Z", "updated_after"),
        ("updated_before=", "updated_before"),
        ("completed_after=1", "completed_after"),
        ("completed_before=2026-12-01&completed_before=2026-12-01", "completed_before"),
        ("overdue=yes", "overdue"),
        ("overdue=TRUE", "overdue"),
        ("q=", "q"),
        ("q=%20%09", "q"),
        ("q=a%00b", "q"),
        ("q=%FF", "q"),
        ("q=a&q=b", "q"),
        ("deleted=1", "deleted"),
        ("sort=", "sort"),
        ("sort=-", "sort"),
        ("sort=%2Bdue", "sort"),
        ("sort=--due", "sort"),
        ("sort=status", "sort"),
        ("sort=due,title", "sort"),
        ("sort=due&sort=due", "sort"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=%2B1", "limit"),
        ("limit=1.0", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=", "cursor"),
        ("cursor=a&cursor=a", "cursor"),
        ("count=maybe", "count"),
        ("offset=10", "offset"),
        ("Status=open", "Status"),
        ("page", "page"),
    ] {
        assert_eq!(parsed(query).unwrap_err().name, name, "{query}");
    }
    assert_eq!(parsed(&format!("q={}", "a".repeat(257))).unwrap_err().name, "q");
    let words = |count: u8| (b'A'..b'A' + count).map(|c| format!("{}+", char::from(c))).collect::<String>();
    assert!(parsed(&format!("q={}", words(16))).is_ok());
    assert_eq!(parsed(&format!("q={}", words(17))).unwrap_err().name, "q");
}
