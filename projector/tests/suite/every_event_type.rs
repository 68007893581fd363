//! The rows that follow from each type of event.

use std::collections::BTreeSet;

use events::{
    AccountDisabled, AccountEnabled, AccountErased, AccountEvent, AccountRenamed, AccountSessionOpened,
    AccountSessionsEnded, AdminAdded, AdminRemoved, AdminsEvent, Due, EmailClaimed, EmailEvent,
    EmailReleased, EndReason, Event, OperationEvent, OperationFinished, OperationId, OperationOutcome,
    OperationStarted, PasswordChanged, PasswordRehashed, PasswordReset, ProgramTokenCreated,
    ProgramTokenRevoked, ProgramTokenUsed, ResetOffered, Role, RolesChanged, Scope, SecondFactorConfirmed,
    SecondFactorEnrolled, SecondFactorPassed, SecondFactorRefused, SecondFactorRemoved,
    SecondFactorRolesChanged, SessionEnded, SessionId, SessionRefreshRepeated, SessionRefreshed, StreamName,
    TaskCancelled, TaskCompleted, TaskCreated, TaskDeleted, TaskDescribed, TaskPrioritized, TaskPurged,
    TaskReopened, TaskRestored, TaskScheduled, TaskStarted, TaskTagged, Timestamp, TokenId, UsedCode, UserId,
};

use super::{
    fixture::Fixture,
    writer::{START, Writer, created, registered, renamed, started, user},
};

pub(crate) async fn every_event_type_is_projected(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let (ada, bob) = (user(1), user(2));
    let due: Due = "2030-05-04".parse().unwrap();
    log.account(ada, registered("Ada@example.org")).await;
    log.account(ada, AccountRenamed { display_name: Some("Ada".to_owned()) }).await;
    log.account(ada, PasswordChanged { password_hash: "$argon2id$other".into(), surviving_session: None })
        .await;
    log.account(ada, RolesChanged { roles: BTreeSet::from([Role::User, Role::Admin]), admin_reason: None })
        .await;
    log.account(ada, AccountDisabled::default()).await;
    log.account(ada, AccountEnabled::default()).await;
    log.account(bob, registered("bob@example.org")).await;
    log.account(bob, AccountErased {}).await;
    log.session(1, ada, started(ada)).await;
    log.session(1, ada, SessionRefreshed { refresh_hash: "another secret".into(), client: None, used: None })
        .await;
    log.session(1, ada, SessionEnded { reason: EndReason::LogoutAll }).await;
    let address = StreamName::email("00ff");
    log.append(&address, ada, EmailEvent::from(EmailClaimed { account: ada }).encode()).await;
    log.append(&address, ada, EmailEvent::from(EmailReleased {}).encode()).await;
    let first = TaskCreated {
        owner: ada,
        title: "Straße fegen".to_owned(),
        description: Some("Mit dem BESEN".to_owned()),
        priority: events::Priority::Urgent,
        due: Some(due),
        tags: vec!["Haus".to_owned(), "heute".to_owned()],
    };
    log.task(1, ada, first).await;
    log.task(1, ada, TaskStarted {}).await;
    log.task(1, ada, TaskCompleted {}).await;
    log.task(2, ada, created(ada, "Two")).await;
    log.task(2, ada, renamed("Zwei")).await;
    log.task(2, ada, TaskDescribed { description: Some("More".to_owned()) }).await;
    log.task(2, ada, TaskPrioritized { priority: events::Priority::Low }).await;
    log.task(2, ada, TaskScheduled { due: "2030-05-04T09:00:00Z".parse().ok() }).await;
    log.task(2, ada, TaskTagged { tags: vec![] }).await;
    log.task(2, ada, TaskCancelled {}).await;
    log.task(2, ada, TaskReopened {}).await;
    log.task(2, ada, TaskDeleted {}).await;
    log.task(2, ada, TaskRestored {}).await;
    log.account(ada, PasswordRehashed { password_hash: "$argon2id$stronger".into() }).await;
    log.account(
        ada,
        AccountSessionOpened { session: SessionId(uuid::Uuid::from_u128(2)), closed: Vec::new() },
    )
    .await;
    log.account(ada, AccountSessionsEnded {}).await;
    let token = TokenId(uuid::Uuid::from_u128(3));
    let later: [AccountEvent; 10] = [
        ProgramTokenCreated {
            token,
            name: "Backup".to_owned(),
            scopes: [Scope::TasksRead].into(),
            token_hash: "a secret".into(),
            expires_at: None,
            second_factor: false,
        }
        .into(),
        ProgramTokenUsed { token }.into(),
        ProgramTokenRevoked { token }.into(),
        SecondFactorEnrolled { totp_secret: "a secret".into(), recovery_hashes: Vec::new() }.into(),
        SecondFactorConfirmed { step: 1 }.into(),
        SecondFactorRefused {}.into(),
        SecondFactorPassed { code: UsedCode::Totp(2) }.into(),
        SecondFactorRemoved {}.into(),
        ResetOffered {
            reset_hash: "a secret".into(),
            expires_at: Timestamp::from_micros(START),
            removes_second_factor: false,
            admin_reason: None,
        }
        .into(),
        PasswordReset { password_hash: "$argon2id$new".into(), removes_second_factor: false }.into(),
    ];
    for change in later {
        log.account(ada, change).await;
    }
    let repeated = SessionRefreshRepeated { refresh_hash: "a further secret".into(), beside: Some(0) };
    log.session(1, ada, repeated).await;
    for change in [
        AdminsEvent::from(AdminAdded { account: ada }),
        AdminRemoved { account: ada }.into(),
        SecondFactorRolesChanged { roles: [Role::Admin].into() }.into(),
    ] {
        log.append(&StreamName::admins(), ada, change.encode()).await;
    }
    let started = OperationStarted { command: "projection rebuild".into(), by: "grace".into(), reason: None };
    let finished = OperationFinished { outcome: OperationOutcome::Failed, result: None };
    let operation = StreamName::operation(OperationId(uuid::Uuid::from_u128(1)));
    for happened in [OperationEvent::from(started), finished.into()] {
        log.append(&operation, UserId::NOBODY, happened.encode()).await;
    }
    log.task(3, ada, created(ada, "Drei")).await;
    log.task(3, ada, TaskDeleted {}).await;
    log.task(3, ada, TaskPurged {}).await;
    let last = log.task(2, ada, TaskDeleted {}).await;
    let report = fixture.catch_up(4).await;
    assert_eq!((report.tasks, report.accounts, report.sessions, report.events), (3, 1, 1, last));

    let tasks = fixture.rows("SELECT * FROM tasks ORDER BY id").await;
    let text = |row: usize, column| tasks[row].optional_text(column).unwrap();
    let number = |row: usize, column| tasks[row].optional_integer(column).unwrap();
    assert_eq!(text(0, "title").as_deref(), Some("Straße fegen"));
    assert_eq!(text(0, "title_sort").as_deref(), Some("strasse fegen"));
    assert_eq!(text(0, "search_text").as_deref(), Some("strasse fegen\nmit dem besen\nhaus\nheute"));
    assert_eq!(text(0, "tags").as_deref(), Some(r#"["Haus","heute"]"#));
    assert_eq!(text(0, "tag_list").as_deref(), Some("\u{1f}Haus\u{1f}heute\u{1f}"));
    assert_eq!(text(0, "status").as_deref(), Some("done"));
    assert_eq!(number(0, "priority"), Some(3));
    assert_eq!(text(0, "due").as_deref(), Some("2030-05-04"));
    assert_eq!(number(0, "due_at"), Some(due.starts_at().as_micros()));
    assert_eq!(number(0, "overdue_at"), Some(due.overdue_at().as_micros()));
    assert_eq!(number(0, "completed_at"), Some(START + 16));
    assert_eq!((number(0, "version"), number(0, "position")), (Some(3), Some(16)));
    assert_eq!(text(1, "title").as_deref(), Some("Zwei"));
    assert_eq!(text(1, "search_text").as_deref(), Some("zwei\nmore\n"));
    assert_eq!((text(1, "tags").as_deref(), text(1, "tag_list").as_deref()), (Some("[]"), Some("")));
    assert_eq!((text(1, "status").as_deref(), number(1, "priority")), (Some("open"), Some(0)));
    assert_eq!(number(1, "deleted_at"), Some(START + i64::try_from(last).unwrap()));
    assert_eq!((number(1, "completed_at"), number(1, "version")), (None, Some(11)));

    // Only the fact of the purge is left.
    assert_eq!(tasks[2].uuid("owner").unwrap(), UserId::NOBODY.0);
    for column in ["title", "title_sort", "tag_list"] {
        assert_eq!(text(2, column).as_deref(), Some(""), "{column}");
    }
    assert_eq!((text(2, "description"), number(2, "deleted_at")), (None, None));
    let history =
        format!("SELECT type, changes FROM task_history WHERE task = '{}'", tasks[2].uuid("id").unwrap());
    let history = fixture.rows(&history).await;
    let history: Vec<_> =
        history.iter().map(|row| (row.text("type").unwrap(), row.text("changes").unwrap())).collect();
    assert_eq!(history, [("task.purged".to_owned(), "[]".to_owned())]);

    let accounts = fixture.rows("SELECT * FROM accounts").await;
    assert_eq!(accounts[0].uuid("id").unwrap(), ada.0);
    assert_eq!(accounts[0].text("email").unwrap(), "Ada@example.org");
    assert_eq!(accounts[0].optional_text("display_name").unwrap().as_deref(), Some("Ada"));
    assert_eq!(accounts[0].text("roles").unwrap(), r#"["user","admin"]"#);
    assert!(!accounts[0].boolean("disabled").unwrap());

    let sessions = fixture.rows("SELECT * FROM sessions").await;
    assert_eq!(sessions[0].uuid("account").unwrap(), ada.0);
    assert_eq!(sessions[0].integer("last_refreshed_at").unwrap(), START + 10);
    assert_eq!(sessions[0].text("end_reason").unwrap(), "logout_all");
    assert_eq!(sessions[0].text("ip").unwrap(), "192.0.2.1");

    let audit = fixture.rows("SELECT * FROM audit_log ORDER BY position").await;
    let kinds: BTreeSet<String> = audit.iter().map(|row| row.text("type").unwrap()).collect();
    let catalog: BTreeSet<String> = Event::catalog().map(|(kind, _)| kind.to_owned()).collect();
    assert_eq!(kinds, catalog, "a new event type needs a line in this test");
    assert_eq!(audit[0].text("stream").unwrap(), StreamName::account(ada).as_str());
    assert_eq!(audit[0].text("actor").unwrap(), ada.to_string());
    assert_eq!(audit[0].text("correlation_id").unwrap(), "request-1");
    let operations = audit.iter().filter_map(|row| row.optional_text("operation").unwrap());
    assert_eq!(
        operations.collect::<Vec<_>>(),
        [
            r#"{"command":"projection rebuild","by":"grace","reason":null}"#,
            r#"{"outcome":"failed","result":null}"#
        ]
    );
}
