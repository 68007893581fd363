//! An event is unchanged after it was written as a line and read back.

use super::*;

fn event(data: &'static [u8]) -> StoredEvent {
    StoredEvent {
        position: 1,
        stream: "account-1".to_owned(),
        version: 1,
        id: "1".to_owned(),
        kind: "account.registered".to_owned(),
        schema_version: 1,
        encoding: "json".to_owned(),
        recorded_at: 0,
        metadata: Bytes::from_static(b"{}"),
        data: Bytes::from_static(data).into(),
    }
}

#[test]
fn secrets_are_withheld_and_the_line_can_be_checked_all_the_same() {
    let stored = event(br#"{"email":"a@b","password_hash":"$argon2id$x"}"#);
    let line = serde_json::to_string(&ExportedEvent::of(&stored)).unwrap();
    assert!(!line.contains("argon2id"), "{line}");
    let read = ExportedEvent::parse(&line).unwrap();
    assert_eq!(read.event.canonical(), stored.canonical());
    assert_eq!(read.data_without_secrets.as_deref(), Some(r#"{"email":"a@b"}"#));
    assert!(read.is_withheld());
}

#[test]
fn a_whole_line_gives_the_event_back() {
    for data in [&br#"{"email":"a@b","password_hash":"$argon2id$x"}"#[..], b"\xff\x00"] {
        let stored = event(data);
        let line = serde_json::to_string(&ExportedEvent::whole(&stored)).unwrap();
        let read = ExportedEvent::parse(&line).unwrap();
        assert!(!read.is_withheld());
        assert_eq!(read.stored(), Some(stored));
    }
    let withheld = ExportedEvent::of(&event(br#"{"password_hash":"$argon2id$x"}"#));
    assert_eq!(withheld.stored(), None);
}

#[test]
fn a_dropped_payload_is_said_to_be_dropped_and_nothing_is_shown_in_its_place() {
    let mut stored = event(b"{}");
    stored.data = StoredPayload::Dropped(stored.data.sha256());
    for exported in [ExportedEvent::of(&stored), ExportedEvent::whole(&stored)] {
        let line = serde_json::to_string(&exported).unwrap();
        let read = ExportedEvent::parse(&line).unwrap();
        assert!(read.data_dropped && !read.is_withheld(), "{line}");
        assert_eq!(read.stored(), Some(stored.clone()));
        let shown = line.replace("\"data_dropped\"", "\"data\":\"{}\",\"data_dropped\"");
        assert_eq!(ExportedEvent::parse(&shown), Err(LineError::Repeated("payload")));
        let undone = line.replace("\"data_dropped\":true", "\"data_dropped\":false");
        assert_eq!(ExportedEvent::parse(&undone), Err(LineError::Absent("payload")));
    }
}

#[test]
fn what_is_absent_is_refused_unless_it_is_withheld_for_its_secrets() {
    let line = |kind: &str, edit: &dyn Fn(&mut ExportedEvent)| {
        let mut stored = event(b"{}");
        kind.clone_into(&mut stored.kind);
        let mut exported = ExportedEvent::of(&stored);
        edit(&mut exported);
        let read = ExportedEvent::parse(&serde_json::to_string(&exported).unwrap());
        read.map(|read| read.is_withheld())
    };
    let withhold = |event: &mut ExportedEvent| {
        event.data = None;
        event.data_without_secrets = Some("{\"email\":\"forged\"}".to_owned());
    };
    assert_eq!(line("task.created", &|_| {}), Ok(false));
    assert_eq!(line("task.created", &|event| event.data = None), Err(LineError::Absent("payload")));
    assert_eq!(line("account.registered", &|event| event.data = None), Err(LineError::Absent("payload")));
    assert_eq!(line("task.created", &|event| event.metadata = None), Err(LineError::Absent("metadata")));
    assert_eq!(line("task.created", &withhold), Err(LineError::Absent("payload")));
    for kind in ["account.registered", "of.a_later_release"] {
        assert_eq!(line(kind, &withhold), Ok(true), "{kind}");
    }
    assert_eq!(
        line("account.registered", &|event| {
            event.data_without_secrets = Some("{}".to_owned());
        }),
        Err(LineError::Repeated("payload"))
    );
    assert_eq!(
        line("task.created", &|event| event.data_base64 = Some("e30=".to_owned())),
        Err(LineError::Repeated("payload"))
    );
}

#[test]
fn a_line_that_shows_something_else_is_refused() {
    for data in [b"{\"a\":1}".as_slice(), b"\xff\x00"] {
        let line = serde_json::to_string(&ExportedEvent::of(&event(data))).unwrap();
        assert_eq!(ExportedEvent::parse(&line).unwrap().event, event(data).digest());
    }
    let line = serde_json::to_string(&ExportedEvent::of(&event(b"{\"a\":1}"))).unwrap();
    let changed = line.replace("\\\"a\\\":1", "\\\"a\\\":2");
    assert_ne!(changed, line);
    assert_eq!(ExportedEvent::parse(&changed), Err(LineError::Changed("payload")));
    let changed = line.replace("\"metadata\":\"{}\"", "\"metadata\":\"{ }\"");
    assert_eq!(ExportedEvent::parse(&changed), Err(LineError::Changed("metadata")));
    assert!(matches!(ExportedEvent::parse("{}"), Err(LineError::Malformed(_))));
}
