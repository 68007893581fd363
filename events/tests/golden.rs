//! Golden files: payloads as earlier builds wrote them. A file in `golden/` never changes; a new schema version
//! adds files named `<wire name>.v<version>.json` or `<wire name>.v<version>.<case>.json`.

use std::{collections::BTreeSet, fs, path::Path, str};

use events::{
    Actor, CodecError, Encoding, Event, Metadata, PERSONAL_MEMBERS, SECRET_MEMBERS, UserId, divide_payload,
    erased_payload, may_hold_secrets,
};

struct Golden {
    file: String,
    kind: String,
    schema_version: u16,
    payload: Vec<u8>,
}

/// Every golden file. The newline that ends a file is not part of the payload.
fn golden_files() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| read_golden(&entry.path())).collect()
}

fn read_golden(path: &Path) -> Golden {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts: Vec<&str> = file.split('.').collect();
    let version = parts.get(2).and_then(|part| part.strip_prefix('v')?.parse().ok());
    let kind = parts.iter().take(2).copied().collect::<Vec<_>>().join(".");
    let mut payload = fs::read(path).unwrap_or_default();
    assert_eq!(payload.pop(), Some(b'\n'), "{file} ends with a newline");
    Golden { schema_version: version.unwrap_or_default(), kind, payload, file }
}

#[test]
fn every_version_of_every_event_has_a_golden_file() {
    let found: BTreeSet<_> =
        golden_files().into_iter().map(|golden| (golden.kind, golden.schema_version)).collect();
    let expected: BTreeSet<_> = Event::catalog()
        .flat_map(|(kind, current)| (1..=current).map(move |version| (kind.to_owned(), version)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_types_that_may_hold_secrets_are_those_whose_golden_files_do() {
    let with_secrets: BTreeSet<String> = golden_files()
        .into_iter()
        .filter(|golden| {
            let members: serde_json::Map<_, _> = serde_json::from_slice(&golden.payload).unwrap();
            SECRET_MEMBERS.iter().any(|name| members.contains_key(*name))
        })
        .map(|golden| golden.kind)
        .collect();
    let said = Event::catalog().map(|(kind, _)| kind.to_owned()).filter(|kind| may_hold_secrets(kind));
    assert_eq!(with_secrets, said.collect());
    assert!(may_hold_secrets("of.a_later_release"));
}

#[test]
fn reading_and_writing_a_payload_of_the_current_version_gives_the_same_bytes() {
    for golden in golden_files() {
        let event =
            Event::decode(&golden.kind, golden.schema_version, &golden.payload).unwrap_or_else(|error| {
                panic!("{}: {error}: {:?}", golden.file, std::error::Error::source(&error))
            });
        let encoded = event.encode();
        assert_eq!(encoded.kind, golden.kind, "{}", golden.file);
        assert_eq!(encoded.encoding, Encoding::Json, "{}", golden.file);
        if encoded.schema_version == golden.schema_version {
            assert_eq!(str::from_utf8(&encoded.data), str::from_utf8(&golden.payload), "{}", golden.file);
        }
    }
}

#[test]
fn a_payload_of_a_newer_version_is_refused_with_both_versions() {
    for (kind, current) in Event::catalog() {
        let error = Event::decode(kind, current + 1, b"{}").unwrap_err();
        assert!(matches!(
            &error,
            CodecError::NewerVersion { kind: of, found, known } if of == kind && *found == current + 1 && *known == current
        ));
        let expected = format!(
            "event type `{kind}` has schema version {}, this build reads up to {current}",
            current + 1
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn version_zero_does_not_exist() {
    for (kind, _) in Event::catalog() {
        assert!(Event::decode(kind, 0, b"{}").is_err(), "{kind}");
    }
}

#[test]
fn an_unknown_type_is_refused_by_name() {
    for kind in ["task.exploded", "task", "", "Task.created", "task.created "] {
        let error = Event::decode(kind, 1, b"{}").unwrap_err();
        assert!(matches!(&error, CodecError::UnknownType(name) if name == kind));
        assert_eq!(error.to_string(), format!("unknown event type `{kind}`"));
    }
}

#[test]
fn a_malformed_payload_is_refused_with_its_type_and_version() {
    let not_a_payload: [&[u8]; 6] = [b"", b"{", b"[]7", b"null", b"\xff\xfe", b"{} {}"];
    for (kind, current) in Event::catalog() {
        for data in not_a_payload {
            let error = Event::decode(kind, current, data).unwrap_err();
            assert!(
                matches!(&error, CodecError::Malformed { kind: of, .. } if of == kind),
                "{kind}: {data:?}"
            );
            assert_eq!(
                error.to_string(),
                format!("event type `{kind}` version {current} has a malformed payload")
            );
            assert!(std::error::Error::source(&error).is_some());
        }
    }
    let wrong_values = [
        ("task.prioritized", r#"{"priority":"enormous"}"#),
        ("task.scheduled", r#"{"due":"2026-02-30"}"#),
        ("task.scheduled", r#"{"due":"1969-12-31"}"#),
        ("task.renamed", r#"{"title":null}"#),
        ("task.renamed", "{}"),
        ("account.roles_changed", r#"{"roles":["emperor"]}"#),
        ("session.ended", r#"{"reason":"boredom"}"#),
        ("email.claimed", r#"{"account":"nobody"}"#),
    ];
    for (kind, data) in wrong_values {
        let result = Event::decode(kind, 1, data.as_bytes());
        assert!(matches!(result, Err(CodecError::Malformed { .. })), "{kind}: {data}");
    }
}

#[test]
fn metadata_is_written_as_it_always_was() {
    let subject: UserId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    let full = Metadata {
        subject,
        actor: Actor::User(subject),
        correlation_id: "req-1".into(),
        causation_id: "01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9e".parse().unwrap(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        idempotency_key: Some("k".into()),
    };
    let least = Metadata { actor: Actor::Operator, traceparent: None, idempotency_key: None, ..full.clone() };
    let program = Metadata {
        actor: Actor::Program {
            user: subject,
            token: "01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9f".parse().unwrap(),
        },
        ..least.clone()
    };
    let written = [
        (
            program,
            r#"{"subject":"01890a5d-ac96-774b-bcce-b302099a8057","actor":"01890a5d-ac96-774b-bcce-b302099a8057/token/01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9f","correlation_id":"req-1","causation_id":"01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9e"}"#,
        ),
        (
            full,
            r#"{"subject":"01890a5d-ac96-774b-bcce-b302099a8057","actor":"01890a5d-ac96-774b-bcce-b302099a8057","correlation_id":"req-1","causation_id":"01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9e","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","idempotency_key":"k"}"#,
        ),
        (
            least,
            r#"{"subject":"01890a5d-ac96-774b-bcce-b302099a8057","actor":"operator","correlation_id":"req-1","causation_id":"01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9e"}"#,
        ),
    ];
    for (metadata, text) in written {
        assert_eq!(serde_json::to_string(&metadata).unwrap(), text);
        assert_eq!(serde_json::from_str::<Metadata>(text).unwrap(), metadata);
    }
}

/// Members of payloads that are not personal: ids, times, choices from a list, and what operators write about their
/// commands.
const NOT_PERSONAL: [&str; 23] = [
    "account",
    "beside",
    "by",
    "closed",
    "code",
    "command",
    "due",
    "expires_at",
    "idle_seconds",
    "methods",
    "outcome",
    "owner",
    "priority",
    "reason",
    "removes_second_factor",
    "result",
    "roles",
    "scopes",
    "session",
    "step",
    "surviving_session",
    "token",
    "used",
];

#[test]
fn of_every_member_of_every_event_it_is_known_whether_it_is_personal() {
    let names: BTreeSet<String> = golden_files()
        .iter()
        .flat_map(|golden| {
            let members: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&golden.payload).unwrap();
            members.into_iter().map(|(name, _)| name)
        })
        .collect();
    for name in &names {
        let personal = PERSONAL_MEMBERS.iter().any(|(personal, _)| personal == name);
        let known = NOT_PERSONAL.contains(&name.as_str()) || SECRET_MEMBERS.contains(&name.as_str());
        assert!(
            personal != known,
            "decide whether `{name}` is personal: PERSONAL_MEMBERS in events/src/personal.rs, or NOT_PERSONAL here"
        );
    }
    for (name, _) in PERSONAL_MEMBERS {
        assert!(names.contains(name), "no event has `{name}`");
    }
}

#[test]
fn what_is_left_of_an_erased_event_can_be_read_in_every_version() {
    for golden in golden_files() {
        let Some(divided) = divide_payload(&golden.payload) else {
            continue;
        };
        let erased = erased_payload(&divided.with_sealed("AAAA")).unwrap();
        let event = Event::decode(&golden.kind, golden.schema_version, &erased)
            .unwrap_or_else(|error| panic!("{}: {error}", golden.file));
        let text = str::from_utf8(&event.encode().data).unwrap().to_owned();
        let original: serde_json::Value = serde_json::from_slice(&golden.payload).unwrap();
        for (name, placeholder) in PERSONAL_MEMBERS {
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            let placeholder: serde_json::Value = serde_json::from_str(placeholder).unwrap();
            if original.get(name).is_some() {
                assert_eq!(read[name], placeholder, "{}: {name}", golden.file);
            }
        }
    }
}
