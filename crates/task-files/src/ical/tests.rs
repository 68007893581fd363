//! Calendars as other programs write them.

use super::*;

fn calendar(components: &str) -> Vec<u8> {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{components}END:VCALENDAR\r\n").into_bytes()
}

fn todo(properties: &str) -> FileTask {
    let calendar = calendar(&format!("BEGIN:VTODO\r\n{properties}END:VTODO\r\n"));
    read(&calendar, &TimeZone::UTC).unwrap().tasks.remove(0).task.unwrap()
}

#[test]
fn tasks_of_other_programs_are_read() {
    let components = concat!(
        "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\n",
        "TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n",
        "BEGIN:VEVENT\r\nSUMMARY:No task\r\nEND:VEVENT\r\n",
        "BEGIN:VTODO\r\nUID:1@example.org\r\nDTSTAMP:20261101T080000Z\r\n",
        "SUMMARY;LANGUAGE=en:Buy milk\\, bread\\; a\r\n  roll\r\nDESCRIPTION:One\\nTwo \\\\o/\r\n",
        "DUE;TZID=Europe/Berlin:20261201T090000\r\nPRIORITY:2\r\nSTATUS:IN-PROCESS\r\n",
        "CATEGORIES:home,to\\,do\r\nCATEGORIES:shop\r\nX-APPLE-SORT-ORDER:7\r\nRRULE:FREQ=DAILY\r\n",
        "BEGIN:VALARM\r\nDESCRIPTION:Alarm\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VTODO\r\n",
    );
    let content = read(&calendar(components), &TimeZone::UTC).unwrap();
    assert_eq!(
        content.tasks,
        [Found {
            line: 14,
            task: Ok(FileTask {
                title: "Buy milk, bread; a roll".to_owned(),
                description: Some("One\nTwo \\o/".to_owned()),
                status: Status::InProgress,
                priority: Priority::Urgent,
                due: Some("2026-12-01T08:00:00Z".parse().unwrap()),
                tags: vec!["home".to_owned(), "to,do".to_owned(), "shop".to_owned()],
            }),
        }]
    );
    let ignored: Vec<&str> = content.ignored.keys().map(String::as_str).collect();
    assert_eq!(ignored, ["RRULE", "VALARM", "X-APPLE-SORT-ORDER"]);
}

#[test]
fn a_time_is_in_the_zone_that_it_names_or_in_that_of_the_file() {
    let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
    for (line, expected) in [
        ("DUE:20261201T090000Z", "2026-12-01T09:00:00Z"),
        ("DUE:20261201T090000", "2026-12-01T00:00:00Z"),
        ("DUE;VALUE=DATE:20261201", "2026-12-01"),
        ("DUE;TZID=America/New_York:20260701T090000", "2026-07-01T13:00:00Z"),
        ("DUE;TZID=\"/Europe/Berlin\":20260701T090000", "2026-07-01T07:00:00Z"),
        // In an hour that occurs twice the first one counts, and a time that does not exist is after the gap (RFC
        // 5545, section 3.3.5).
        ("DUE;TZID=Europe/Berlin:20261025T023000", "2026-10-25T00:30:00Z"),
        ("DUE;TZID=Europe/Berlin:20260329T023000", "2026-03-29T01:30:00Z"),
    ] {
        let property = Property::parse(line.as_bytes()).unwrap();
        assert_eq!(due(&property, &tokyo), Ok(expected.parse().unwrap()), "{line}");
    }
    for line in [
        "DUE:20261301",
        "DUE:tomorrow",
        "DUE:20261201T250000",
        "DUE;TZID=W. Europe Standard Time:20261201T090000",
    ] {
        let property = Property::parse(line.as_bytes()).unwrap();
        assert!(due(&property, &tokyo).is_err(), "{line}");
    }
}

#[test]
fn the_exact_time_counts_until_another_program_moves_it() {
    let exact = "X-TASKLEDGER-DUE:2026-12-01T09:00:00.000007Z\r\n";
    let due = |line: &str| todo(&format!("SUMMARY:a\r\n{line}\r\n{exact}")).due.unwrap().to_string();
    assert_eq!(due("DUE:20261201T090000Z"), "2026-12-01T09:00:00.000007Z");
    assert_eq!(due("DUE:20261202T090000Z"), "2026-12-02T09:00:00Z");
}

#[test]
fn programs_without_a_status_say_otherwise_that_a_task_is_done() {
    for done in ["COMPLETED:20261201T090000Z", "PERCENT-COMPLETE:100"] {
        assert_eq!(todo(&format!("SUMMARY:a\r\n{done}\r\n")).status, Status::Done);
        let cancelled = todo(&format!("STATUS:CANCELLED\r\nSUMMARY:a\r\n{done}\r\n"));
        assert_eq!(cancelled.status, Status::Cancelled);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let components = concat!(
        "BEGIN:VTODO\nSUMMARY:a\nPRIORITY:10\nEND:VTODO\n",
        "BEGIN:VTODO\nDESCRIPTION:b\nEND:VTODO\n",
        "BEGIN:VTODO\nSUMMARY:c\nno property\nEND:VTODO\n",
    );
    let found = read(&calendar(components), &TimeZone::UTC).unwrap().tasks;
    let found: Vec<_> = found.into_iter().map(|found| (found.line, found.task.unwrap_err())).collect();
    let expected = [
        (3, "its PRIORITY is `10`, and is to be 0 to 9"),
        (7, "it has no SUMMARY"),
        (10, "line 12 is no line of iCalendar"),
    ];
    assert_eq!(found, expected.map(|(line, reason)| (line, reason.to_owned())));

    for (text, reason) in [
        ("title,status", "line 1 is no line of iCalendar"),
        ("BEGIN:VCARD\nEND:VCARD", "no BEGIN:VCALENDAR"),
        ("BEGIN:VCALENDAR\nBEGIN:VTODO\nSUMMARY:a\n", "it is not whole"),
        ("BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VCALENDAR\n", "line 3 ends VCALENDAR"),
        ("BEGIN:VCALENDAR\nBEGIN:VTODO\nBEGIN:VTODO\n", "within another"),
    ] {
        let error = read(text.as_bytes(), &TimeZone::UTC).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
