//! The format of the messages about tokens, and which events cause a revocation.

use events::{AccountSessionOpened, Encoding, EventId, Metadata, StreamName};

use super::*;

#[test]
fn messages_keep_their_shape_on_the_wire() {
    let session: SessionId = "0190f5a2-0000-7000-8000-000000000001".parse().unwrap();
    let user: UserId = "0190f5a2-0000-7000-8000-000000000002".parse().unwrap();
    let identity = Identity {
        user_id: user,
        credential: Credential::Session(session),
        email: "ada@example.com".into(),
        roles: BTreeSet::from([Role::User, Role::Admin]),
        expires_at: Timestamp::from_micros(1_000_000),
    };
    let reply = CheckReply { token_sha256: "ab".into(), verdict: Verdict::Accepted(identity) };
    let json = r#"{"token_sha256":"ab","verdict":{"accepted":{"user_id":"0190f5a2-0000-7000-8000-000000000002","credential":{"session":"0190f5a2-0000-7000-8000-000000000001"},"email":"ada@example.com","roles":["user","admin"],"expires_at":"1970-01-01T00:00:01Z"}}}"#;
    assert_eq!(reply.encode(), json);
    assert_eq!(CheckReply::decode(json.as_bytes()).unwrap(), reply);

    for (verdict, json) in [
        (Verdict::Rejected(Rejection::SessionEnded), r#"{"rejected":"session_ended"}"#),
        (Verdict::Rejected(Rejection::Malformed), r#"{"rejected":"malformed"}"#),
        (Verdict::Rejected(Rejection::Expired), r#"{"rejected":"expired"}"#),
        (Verdict::Unavailable, r#""unavailable""#),
    ] {
        assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
    }
    let revocation = Revocation::Session(session);
    assert_eq!(revocation.encode(), r#"{"session":"0190f5a2-0000-7000-8000-000000000001"}"#);
    assert_eq!(Revocation::decode(&revocation.encode()).unwrap(), revocation);
    assert_eq!(Revocation::Keys.encode(), r#""keys""#);
    assert_eq!(Revocation::Account(user).encode(), r#"{"account":"0190f5a2-0000-7000-8000-000000000002"}"#);
}

#[test]
fn a_program_token_does_not_travel_itself() {
    let request = CheckRequest::ProgramToken { name: "ab".into(), token_sha256: "cd".into() };
    let json = r#"{"program_token":{"name":"ab","token_sha256":"cd"}}"#;
    assert_eq!(request.encode(), json);
    assert_eq!(CheckRequest::Token("t".into()).encode(), r#"{"token":"t"}"#);
}

#[test]
fn a_request_never_shows_its_token_in_a_log() {
    assert!(!format!("{:?}", CheckRequest::Token("secret".into())).contains("secret"));
}

#[test]
fn a_program_token_is_good_for_its_scopes_and_a_login_for_everything() {
    let credential = Credential::ProgramToken {
        id: TokenId(uuid::Uuid::nil()),
        scopes: BTreeSet::from([Scope::TasksRead]),
    };
    let json = r#"{"program_token":{"id":"00000000-0000-0000-0000-000000000000","scopes":["tasks:read"]}}"#;
    assert_eq!(serde_json::to_string(&credential).unwrap(), json);
    assert!(credential.covers(Scope::TasksRead) && !credential.covers(Scope::TasksWrite));
    assert!(Credential::Session(SessionId(uuid::Uuid::nil())).covers(Scope::AuditRead));
}

#[test]
fn an_admin_may_what_an_auditor_may() {
    let identity = |roles: &[Role]| Identity {
        user_id: UserId(uuid::Uuid::nil()),
        credential: Credential::Session(SessionId(uuid::Uuid::nil())),
        email: String::new(),
        roles: roles.iter().copied().collect(),
        expires_at: Timestamp::MAX,
    };
    assert!(identity(&[Role::Admin]).has_role(Role::Auditor));
    assert!(!identity(&[Role::Auditor]).has_role(Role::Admin));
    assert!(!identity(&[Role::User]).has_role(Role::Auditor));
}

/// Types of events that can change the answer about a token.
const TOLD: [&str; 14] = [
    "account.password_changed",
    "account.password_reset",
    "account.roles_changed",
    "account.disabled",
    "account.enabled",
    "account.sessions_ended",
    "account.token_revoked",
    // Program tokens no longer count as having the second factor.
    "account.second_factor_removed",
    "account.erased",
    "session.ended",
    "admins.added",
    "admins.removed",
    "admins.second_factor_roles_changed",
    // When it closes others.
    "account.session_opened",
];

/// Types of events after which every accepted token is still accepted.
const NOT_TOLD: [&str; 13] = [
    "account.registered",
    // The display name is not part of an answer.
    "account.renamed",
    "account.password_rehashed",
    "account.token_created",
    "account.token_used",
    "account.second_factor_enrolled",
    "account.second_factor_confirmed",
    "account.second_factor_passed",
    "account.second_factor_refused",
    "account.reset_offered",
    "session.started",
    "session.refreshed",
    "session.refresh_repeated",
];

const USER: UserId = UserId(uuid::Uuid::from_u128(2));
const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(1));

fn recorded(kind: &str, data: &str) -> RecordedEvent {
    let stream = match kind.split('.').next() {
        Some("session") => StreamName::session(SESSION),
        Some("admins") => StreamName::admins(),
        _ => StreamName::account(USER),
    };
    RecordedEvent {
        position: 1,
        stream,
        version: 1,
        id: EventId(uuid::Uuid::nil()),
        kind: kind.to_owned(),
        schema_version: 1,
        encoding: Encoding::Json,
        data: data.to_owned().into(),
        metadata: Metadata {
            subject: USER,
            actor: Actor::Operator,
            correlation_id: "test".into(),
            causation_id: uuid::Uuid::nil(),
            traceparent: None,
            idempotency_key: None,
        },
        recorded_at: Timestamp::from_micros(0),
    }
}

#[test]
fn every_event_of_accounts_sessions_and_admins_is_told_or_takes_nothing() {
    let known: BTreeSet<_> = TOLD.into_iter().chain(NOT_TOLD).collect();
    let kinds: BTreeSet<_> = Event::catalog()
        .map(|(kind, _)| kind)
        .filter(|kind| ["account.", "session.", "admins."].iter().any(|of| kind.starts_with(of)))
        .collect();
    assert_eq!(known, kinds);
    for kind in TOLD {
        let expected = match kind {
            "session.ended" => Revocation::Session(SESSION),
            "admins.second_factor_roles_changed" => Revocation::Keys,
            _ => Revocation::Account(USER),
        };
        assert_eq!(Revocation::caused_by(&recorded(kind, "{}")), Some(expected), "{kind}");
    }
    for kind in NOT_TOLD {
        assert_eq!(Revocation::caused_by(&recorded(kind, "{}")), None, "{kind}");
    }
}

#[test]
fn a_session_that_was_opened_is_told_of_when_it_has_closed_others() {
    let opened = |closed: &[SessionId]| {
        let opened = AccountSessionOpened { session: SESSION, closed: closed.to_vec() };
        let data = AccountEvent::from(opened).encode().data;
        recorded("account.session_opened", std::str::from_utf8(&data).unwrap())
    };
    assert_eq!(Revocation::caused_by(&opened(&[])), None);
    let another = SessionId(uuid::Uuid::from_u128(3));
    assert_eq!(Revocation::caused_by(&opened(&[another])), Some(Revocation::Account(USER)));
}
