//! Strategies for arbitrary events and the values in them, within and beyond what the commands allow.

use std::collections::BTreeSet;

use events::{
    AccountDisabled, AccountEnabled, AccountErased, AccountEvent, AccountRegistered, AccountRenamed,
    AccountSessionOpened, AccountSessionsEnded, AdminAdded, AdminReason, AdminRemoved, AdminsEvent,
    AuthenticationMethod, Due, EmailClaimed, EmailEvent, EmailReleased, EndReason, Event, OperationEvent,
    OperationFinished, OperationOutcome, OperationStarted, PasswordChanged, PasswordRehashed, PasswordReset,
    Priority, ProgramTokenCreated, ProgramTokenRevoked, ProgramTokenUsed, ResetOffered, Role, RolesChanged,
    Scope, SecondFactorConfirmed, SecondFactorEnrolled, SecondFactorPassed, SecondFactorRefused,
    SecondFactorRemoved, SecondFactorRolesChanged, SecretHash, SessionEnded, SessionEvent, SessionId,
    SessionRefreshRepeated, SessionRefreshed, SessionStarted, TaskCancelled, TaskCompleted, TaskCreated,
    TaskDeleted, TaskDescribed, TaskEvent, TaskPrioritized, TaskPurged, TaskRenamed, TaskReopened,
    TaskRestored, TaskScheduled, TaskStarted, TaskTagged, Timestamp, TokenId, UsedCode, UserId,
};
use proptest::{collection, option, prelude::*, sample::select};

pub(crate) fn user_id() -> impl Strategy<Value = UserId> {
    any::<u128>().prop_map(|bits| UserId(uuid::Uuid::from_u128(bits)))
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()).prop_map(Timestamp::from_micros),
        any::<i64>().prop_map(Timestamp::from_micros),
    ]
}

/// A day or an instant in the years 1970 to 9999.
pub(crate) fn due() -> impl Strategy<Value = Due> {
    let last_day = Timestamp::MAX.as_seconds() / 86_400;
    prop_oneof![
        (0..=last_day).prop_map(|day| {
            let midnight = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(day);
            Due::Day(midnight.date())
        }),
        (0..=Timestamp::MAX.as_micros()).prop_map(|micros| Due::At(Timestamp::from_micros(micros))),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        task_event().prop_map(Event::Task),
        account_event().prop_map(Event::Account),
        session_event().prop_map(Event::Session),
        email_event().prop_map(Event::Email),
        admins_event().prop_map(Event::Admins),
        operation_event().prop_map(Event::Operation),
    ]
}

pub(crate) fn task_event() -> impl Strategy<Value = TaskEvent> {
    let created = (user_id(), text(), option::of(text()), priority(), option::of(due()), tags()).prop_map(
        |(owner, title, description, priority, due, tags)| {
            TaskCreated { owner, title, description, priority, due, tags }.into()
        },
    );
    prop_oneof![
        2 => created,
        1 => text().prop_map(|title| TaskRenamed { title }.into()),
        1 => option::of(text()).prop_map(|description| TaskDescribed { description }.into()),
        1 => priority().prop_map(|priority| TaskPrioritized { priority }.into()),
        1 => option::of(due()).prop_map(|due| TaskScheduled { due }.into()),
        1 => tags().prop_map(|tags| TaskTagged { tags }.into()),
        6 => select(vec![
            TaskEvent::from(TaskStarted {}),
            TaskCompleted {}.into(),
            TaskCancelled {}.into(),
            TaskReopened {}.into(),
            TaskDeleted {}.into(),
            TaskRestored {}.into(),
            TaskPurged {}.into(),
        ]),
    ]
}

pub(crate) fn account_event() -> impl Strategy<Value = AccountEvent> {
    let registered = (text(), option::of(text()), hash()).prop_map(|(email, display_name, password_hash)| {
        AccountRegistered { email, display_name, password_hash }.into()
    });
    prop_oneof![
        2 => registered,
        1 => option::of(text()).prop_map(|display_name| AccountRenamed { display_name }.into()),
        1 => (hash(), option::of(session_id())).prop_map(|(password_hash, surviving_session)| {
            PasswordChanged { password_hash, surviving_session }.into()
        }),
        1 => hash().prop_map(|password_hash| PasswordRehashed { password_hash }.into()),
        2 => (session_id(), collection::vec(session_id(), 0..3))
            .prop_map(|(session, closed)| AccountSessionOpened { session, closed }.into()),
        3 => second_factor_event(),
        1 => (hash(), timestamp(), any::<bool>()).prop_map(|(reset_hash, expires_at, removes_second_factor)| {
            ResetOffered { reset_hash, expires_at, removes_second_factor, admin_reason: None }.into()
        }),
        1 => (hash(), any::<bool>()).prop_map(|(password_hash, removes_second_factor)| {
            PasswordReset { password_hash, removes_second_factor }.into()
        }),
        1 => (roles(), admin_reason()).prop_map(|(roles, admin_reason)| RolesChanged { roles, admin_reason }.into()),
        1 => admin_reason().prop_map(|admin_reason| AccountDisabled { admin_reason }.into()),
        2 => program_token_created().prop_map(AccountEvent::from),
        1 => token_id().prop_map(|token| ProgramTokenUsed { token }.into()),
        1 => token_id().prop_map(|token| ProgramTokenRevoked { token }.into()),
        3 => select(vec![AccountEvent::from(AccountDisabled::default()), AccountEnabled::default().into(), AccountErased {}.into(), AccountSessionsEnded {}.into()]),
    ]
}

fn admin_reason() -> impl Strategy<Value = Option<AdminReason>> {
    option::of(text().prop_map(AdminReason::from))
}

fn second_factor_event() -> impl Strategy<Value = AccountEvent> {
    let code =
        prop_oneof![any::<u64>().prop_map(UsedCode::Totp), (0_usize..12).prop_map(UsedCode::Recovery),];
    prop_oneof![
        (hash(), collection::vec(hash(), 0..3)).prop_map(|(totp_secret, recovery_hashes)| {
            SecondFactorEnrolled { totp_secret, recovery_hashes }.into()
        }),
        any::<u64>().prop_map(|step| SecondFactorConfirmed { step }.into()),
        code.prop_map(|code| SecondFactorPassed { code }.into()),
        select(vec![AccountEvent::from(SecondFactorRemoved {}), SecondFactorRefused {}.into()]),
    ]
}

fn program_token_created() -> impl Strategy<Value = ProgramTokenCreated> {
    let scopes = collection::btree_set(select(Scope::ALL), 0..=3);
    (token_id(), text(), scopes, hash(), option::of(timestamp()), any::<bool>()).prop_map(
        |(token, name, scopes, token_hash, expires_at, second_factor)| ProgramTokenCreated {
            token,
            name,
            scopes,
            token_hash,
            expires_at,
            second_factor,
        },
    )
}

pub(crate) fn session_event() -> impl Strategy<Value = SessionEvent> {
    let methods = collection::btree_set(select(AuthenticationMethod::ALL), 0..=3);
    let started = (
        user_id(),
        hash(),
        timestamp(),
        option::of(text()),
        option::of(text()),
        methods,
        option::of(any::<u32>()),
    )
        .prop_map(|(account, refresh_hash, expires_at, ip, user_agent, methods, idle_seconds)| {
            SessionStarted { account, refresh_hash, expires_at, ip, user_agent, methods, idle_seconds }.into()
        });
    let reason = select(EndReason::ALL);
    prop_oneof![
        started,
        (hash(), option::of(text()), option::of(0u8..40)).prop_map(|(refresh_hash, client, used)| {
            SessionRefreshed { refresh_hash, client, used }.into()
        }),
        (hash(), option::of(0u8..40))
            .prop_map(|(refresh_hash, beside)| { SessionRefreshRepeated { refresh_hash, beside }.into() }),
        reason.prop_map(|reason| SessionEnded { reason }.into()),
    ]
}

fn email_event() -> impl Strategy<Value = EmailEvent> {
    prop_oneof![user_id().prop_map(|account| EmailClaimed { account }.into()), Just(EmailReleased {}.into()),]
}

fn roles() -> impl Strategy<Value = BTreeSet<Role>> {
    collection::btree_set(select(Role::ALL), 0..=3)
}

fn admins_event() -> impl Strategy<Value = AdminsEvent> {
    prop_oneof![
        user_id().prop_map(|account| AdminAdded { account }.into()),
        user_id().prop_map(|account| AdminRemoved { account }.into()),
        roles().prop_map(|roles| SecondFactorRolesChanged { roles }.into()),
    ]
}

fn operation_event() -> impl Strategy<Value = OperationEvent> {
    let started = (text(), text(), option::of(text())).prop_map(|(command, by, reason)| {
        OperationStarted { command: command.into(), by: by.into(), reason: reason.map(Into::into) }.into()
    });
    let outcome = select(vec![OperationOutcome::Succeeded, OperationOutcome::Failed]);
    let finished = (outcome, option::of(text())).prop_map(|(outcome, result)| {
        let result = result.map(Into::into);
        OperationFinished { outcome, result }.into()
    });
    prop_oneof![started, finished]
}

/// One of a few ids, so that some repeat.
fn session_id() -> impl Strategy<Value = SessionId> {
    (0_u128..200).prop_map(|bits| SessionId(uuid::Uuid::from_u128(bits)))
}

fn token_id() -> impl Strategy<Value = TokenId> {
    (0_u128..100).prop_map(|bits| TokenId(uuid::Uuid::from_u128(bits)))
}

fn hash() -> impl Strategy<Value = SecretHash> {
    text().prop_map(SecretHash::from)
}

fn priority() -> impl Strategy<Value = Priority> {
    select(Priority::ALL)
}

fn tags() -> impl Strategy<Value = Vec<String>> {
    collection::vec(text(), 0..4)
}

/// Any characters, control characters and astral planes included.
fn text() -> impl Strategy<Value = String> {
    collection::vec(any::<char>(), 0..12).prop_map(String::from_iter)
}
