//! What is written as text and read back: instants, due dates, stream names, actors and consistency tokens.

use crate::arbitrary::{due, timestamp, user_id};
use events::{
    Actor, ConsistencyToken, Due, EventId, LogPoint, OperationId, SessionId, StreamKind, StreamName, TaskId,
    Timestamp, UserId,
};
use proptest::prelude::*;
use uuid::Uuid;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_instant_survives_its_text(instant in timestamp()) {
        prop_assert_eq!(instant.to_string().parse(), Ok(instant));
        let json = serde_json::to_string(&instant).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), instant);
    }

    #[test]
    fn instants_sort_as_their_microseconds(a in timestamp(), b in timestamp()) {
        prop_assert_eq!(a.cmp(&b), a.as_micros().cmp(&b.as_micros()));
        prop_assert_eq!(Timestamp::from_micros(a.as_micros()), a);
    }

    #[test]
    fn a_due_date_survives_its_text_and_starts_before_it_is_overdue(due in due()) {
        prop_assert_eq!(due.to_string().parse(), Ok(due));
        prop_assert!(due.starts_at() <= due.overdue_at());
    }

    #[test]
    fn a_stream_name_says_what_it_is_about(bits in any::<u128>(), key in "[0-9a-f]{64}") {
        let id = Uuid::from_u128(bits);
        prop_assert_eq!(StreamName::task(TaskId(id)).kind(), Ok(StreamKind::Task(TaskId(id))));
        prop_assert_eq!(StreamName::account(UserId(id)).kind(), Ok(StreamKind::Account(UserId(id))));
        prop_assert_eq!(StreamName::session(SessionId(id)).kind(), Ok(StreamKind::Session(SessionId(id))));
        prop_assert_eq!(StreamName::email(&key).kind(), Ok(StreamKind::Email(key)));
        prop_assert_eq!(StreamName::admins().kind(), Ok(StreamKind::Admins));
        let operation = OperationId(id);
        prop_assert_eq!(StreamName::operation(operation).kind(), Ok(StreamKind::Operation(operation)));
        let name = StreamName::task(TaskId(id));
        prop_assert_eq!(StreamName::raw(name.to_string()), name);
    }

    #[test]
    fn an_actor_survives_its_text(id in user_id()) {
        for actor in [Actor::User(id), Actor::Operator, Actor::System] {
            prop_assert_eq!(actor.to_string().parse(), Ok(actor));
        }
    }

    #[test]
    fn a_consistency_token_survives_its_text(subject in user_id(), position in any::<u64>()) {
        let token = ConsistencyToken::new(subject, position);
        prop_assert_eq!(token.to_string().parse(), Ok(token));
        prop_assert_eq!(token.position, position);
    }

    #[test]
    fn a_consistency_token_with_its_event_survives_its_text(
        subject in user_id(),
        position in any::<u64>(),
        id in any::<u128>(),
    ) {
        let id = EventId(Uuid::from_u128(id));
        let token = ConsistencyToken::at(subject, LogPoint { position, id: Some(id) });
        prop_assert_eq!(token.to_string().parse(), Ok(token));
        prop_assert!(token.may_name(id) && token.same_subject(ConsistencyToken::new(subject, 0)));
        prop_assert!(!token.may_name(EventId(Uuid::from_u128(id.0.as_u128() ^ 1))));
        prop_assert!(ConsistencyToken::new(subject, position).may_name(id), "one of an earlier release");
    }

    #[test]
    fn reading_any_text_is_total(text in any::<String>()) {
        let _ = text.parse::<Timestamp>();
        let _ = text.parse::<Due>();
        let _ = text.parse::<ConsistencyToken>();
        let _ = text.parse::<Actor>();
        let _ = StreamName::raw(text).kind();
    }
}

#[test]
fn rfc_3339_instants_are_read_in_every_form() {
    let forms = [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.5Z", 500_000),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        // Finer than a microsecond: cut off, also before 1970.
        ("1970-01-01T00:00:00.0000019Z", 1),
        ("1970-01-01T00:00:00.9999999999999Z", 999_999),
        ("1969-12-31T23:59:59.9999999Z", -1),
        ("0000-01-01T00:00:00Z", Timestamp::MIN.as_micros()),
        ("9999-12-31T23:59:59.999999Z", Timestamp::MAX.as_micros()),
    ];
    for (text, micros) in forms {
        assert_eq!(text.parse::<Timestamp>().map(Timestamp::as_micros), Ok(micros), "{text}");
    }
}

#[test]
fn a_leap_second_is_the_last_microsecond_before_midnight() {
    let leap: Timestamp = "2016-12-31T23:59:60Z".parse().unwrap();
    assert_eq!(leap.to_string(), "2016-12-31T23:59:59.999999Z");
    assert!("2016-12-31T12:00:60Z".parse::<Timestamp>().is_err());
}

#[test]
fn what_is_not_an_rfc_3339_instant_is_refused() {
    let refused = [
        "",
        "now",
        "2026-12-01",
        "2026-12-01T09:00Z",
        "2026-12-01T09:00:00",
        "2026-12-01T09:00:00.Z",
        "2026-12-01 09:00:00Z",
        "2026-12-01x09:00:00Z",
        "2026-12-01\u{0}09:00:00Z",
        "2026-12-01T09:00:00,5Z",
        "2026-13-01T09:00:00Z",
        "2026-02-29T09:00:00Z",
        "2026-12-01T24:00:00Z",
        "2026-12-01T09:00:00+25:00",
        "2026-12-01T09:00:00+24:00",
        "2026-12-01T09:00:00+01:60",
        "2026-12-01T09:00:00+0100",
        "2026-12-01T09:00:00 Z",
        "26-12-01T09:00:00Z",
        "10000-01-01T00:00:00Z",
        "+2026-12-01T09:00:00Z",
        " 2026-12-01T09:00:00Z",
        "2026-12-01T09:00:00Z ",
        // In UTC these lie outside the years 0000 to 9999.
        "0000-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ];
    for text in refused {
        assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
    }
}

#[test]
fn an_instant_is_written_as_short_as_it_can_be() {
    for text in ["1970-01-01T00:00:00Z", "2026-12-01T09:00:00.5Z", "2026-12-01T09:00:00.000001Z"] {
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
    }
}

#[test]
fn arithmetic_stops_at_the_years_that_can_be_written() {
    assert_eq!(Timestamp::MAX.plus_seconds(1), Timestamp::MAX);
    assert_eq!(Timestamp::MIN.plus_seconds(-1), Timestamp::MIN);
    assert_eq!(Timestamp::from_micros(0).plus_seconds(i64::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::from_micros(0).plus_seconds(i64::MIN), Timestamp::MIN);
    assert_eq!(Timestamp::from_micros(-1).as_seconds(), -1);
}

#[test]
fn a_day_is_overdue_when_it_has_ended_and_an_instant_when_it_comes() {
    let day: Due = "2026-12-01".parse().unwrap();
    assert_eq!(day.starts_at().to_string(), "2026-12-01T00:00:00Z");
    assert_eq!(day.overdue_at().to_string(), "2026-12-02T00:00:00Z");
    let instant: Due = "2026-12-01T09:00:00+01:00".parse().unwrap();
    assert_eq!(instant.to_string(), "2026-12-01T08:00:00Z");
    assert_eq!(instant.starts_at(), instant.overdue_at());
}

#[test]
fn due_dates_lie_in_the_years_1970_to_9999() {
    for text in ["1970-01-01", "9999-12-31", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"] {
        assert_eq!(text.parse::<Due>().map(|due| due.to_string()).as_deref(), Ok(text));
    }
    let refused = [
        "1969-12-31",
        "10000-01-01",
        "0000-01-01",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00+00:01",
        "2026-02-30",
        "2026-1-1",
        "+2026-12-01",
        "2026-12-01 ",
        "tomorrow",
        "",
    ];
    for text in refused {
        assert!(text.parse::<Due>().is_err(), "{text:?}");
    }
}

#[test]
fn what_names_no_stream_is_refused() {
    for name in ["", "task", "task-", "task-1", "project-01890a5d-ac96-774b-bcce-b302099a8057", "$all"] {
        assert!(StreamName::raw(name).kind().is_err(), "{name:?}");
    }
}

#[test]
fn what_is_not_a_consistency_token_is_refused() {
    let refused = [
        "",
        "-",
        "96f8b57a",
        "96f8b57a-",
        "96f8b57-1",
        "96f8b57a0-1",
        "+6f8b57a-1",
        "96F8B57A-1",
        "96f8b57a-+1",
        "96f8b57a--1",
        "96f8b57a-1 ",
        "96f8b57a-1-",
        "96f8b57a0123456-1",
        "96f8b57a0123456G-1",
        "96f8b57a012345678-1",
        "96f8b57a01234567-1-",
        "96f8b57é01234567-1",
        "96f8b57a-18446744073709551616",
        "xyzxyzxy-1",
    ];
    for text in refused {
        assert!(text.parse::<ConsistencyToken>().is_err(), "{text:?}");
    }
}
