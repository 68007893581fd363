//! The messages about tokens keep their shape.

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
    let reply = CheckReply {
        token_sha256: "ab".into(),
        verdict: Verdict::Accepted(identity),
    };
    let json = r#"{"token_sha256":"ab","verdict":{"accepted":{"user_id":"0190f5a2-0000-7000-8000-000000000002","credential":{"session":"0190f5a2-0000-7000-8000-000000000001"},"email":"ada@example.com","roles":["user","admin"],"expires_at":"1970-01-01T00:00:01Z"}}}"#;
    assert_eq!(reply.encode(), json);
    assert_eq!(CheckReply::decode(json.as_bytes()).unwrap(), reply);

    for (verdict, json) in [
        (
            Verdict::Rejected(Rejection::SessionEnded),
            r#"{"rejected":"session_ended"}"#,
        ),
        (
            Verdict::Rejected(Rejection::Malformed),
            r#"{"rejected":"malformed"}"#,
        ),
        (Verdict::Rejected(Rejection::Expired), r#"{"rejected":"expired"}"#),
        (Verdict::Unavailable, r#""unavailable""#),
    ] {
        assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
    }
    let revocation = Revocation::Session(session);
    assert_eq!(
        revocation.encode(),
        r#"{"session":"0190f5a2-0000-7000-8000-000000000001"}"#
    );
    assert_eq!(Revocation::decode(&revocation.encode()).unwrap(), revocation);
    assert_eq!(Revocation::Keys.encode(), r#""keys""#);
    assert_eq!(
        Revocation::Account(user).encode(),
        r#"{"account":"0190f5a2-0000-7000-8000-000000000002"}"#
    );
}

#[test]
fn a_program_token_does_not_travel_itself() {
    let request = CheckRequest::ProgramToken {
        name: "ab".into(),
        token_sha256: "cd".into(),
    };
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
