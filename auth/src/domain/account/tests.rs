//! Tests of decisions about accounts.

use events::{ProgramTokenRevoked, UserId};
use uuid::Uuid;

use super::*;
use crate::domain::testing::{account, ada, opened, program_token, registered, session};

fn disabling(account: Option<&Account>) -> Decided {
    disable(account, None, None)
}

fn enabling(account: Option<&Account>) -> Decided {
    enable(account, None)
}

fn roles(roles: &[Role]) -> AccountEvent {
    RolesChanged { roles: roles.iter().copied().collect(), ..RolesChanged::default() }.into()
}

fn renamed(name: Option<&str>) -> AccountEvent {
    AccountRenamed { display_name: name.map(str::to_owned) }.into()
}

fn rehashed(hash: &str) -> AccountEvent {
    PasswordRehashed { password_hash: hash.into() }.into()
}

fn password_changed(hash: &str, surviving: u128) -> AccountEvent {
    PasswordChanged { password_hash: hash.into(), surviving_session: Some(session(surviving)) }.into()
}

fn change(old: &str, new: &str, surviving: u128) -> impl FnOnce(Option<&Account>) -> Decided {
    move |account| change_password(account, &old.into(), &new.into(), session(surviving))
}

fn open(
    verified: &str,
    rehashed: Option<&str>,
    number: u128,
    ended: &[u128],
) -> impl FnOnce(Option<&Account>) -> Decided {
    let rehashed = rehashed.map(SecretHash::from);
    let ended: Vec<_> = ended.iter().copied().map(session).collect();
    move |account| open_session(account, &verified.into(), rehashed.as_ref(), session(number), &ended)
}

#[test]
fn an_empty_stream_is_registered() {
    account([]).when(|account| register(account, &ada())).then([ada().into()]);
}

#[test]
fn an_account_is_registered_once() {
    registered([]).when(|account| register(account, &ada())).then_refused(Refusal::EmailIsTaken);
}

#[test]
fn renaming_changes_the_name_or_nothing() {
    let account = registered([]);
    account.when(|account| rename(account, Some("Countess"))).then([renamed(Some("Countess"))]);
    account.when(|account| rename(account, None)).then([renamed(None)]);
    account.when(|account| rename(account, Some("Ada"))).then_nothing();
}

#[test]
fn a_password_is_replaced_only_while_it_is_the_one_that_was_shown() {
    registered([]).when(change("hash-1", "hash-2", 1)).then([password_changed("hash-2", 1)]);
    registered([password_changed("hash-2", 1)])
        .when(change("hash-1", "hash-3", 1))
        .then_refused(Refusal::PasswordHasChanged);
}

#[test]
fn a_changed_password_closes_every_session_but_the_one_that_changed_it() {
    let before = [opened(1, &[]), opened(2, &[]), opened(3, &[])];
    registered(before.clone()).when(change("hash-1", "hash-2", 2)).then([password_changed("hash-2", 2)]);
    let after = registered(before.into_iter().chain([password_changed("hash-2", 2)]));
    assert_eq!(after.state().unwrap().open_sessions, [session(2)]);
}

#[test]
fn all_sessions_end_at_once_and_only_if_there_are_any() {
    registered([opened(1, &[]), opened(2, &[])]).when(end_sessions).then([AccountSessionsEnded {}.into()]);
    let after = registered([opened(1, &[]), AccountSessionsEnded {}.into()]);
    assert!(after.state().unwrap().open_sessions.is_empty());
    after.when(end_sessions).then_nothing();
}

#[test]
fn a_session_is_opened_for_the_password_that_counts() {
    let account = registered([]);
    account.when(open("hash-1", None, 1, &[])).then([opened(1, &[])]);
    account.when(open("hash-0", None, 1, &[])).then_refused(Refusal::PasswordHasChanged);
    account.when(open("hash-1", Some("hash-2"), 1, &[])).then([rehashed("hash-2"), opened(1, &[])]);
}

#[test]
fn a_rehashed_password_closes_no_session() {
    let account = registered([opened(1, &[]), rehashed("hash-2")]);
    let account = account.state().unwrap();
    assert!(account.has_open(session(1)));
    assert_eq!(&*account.password_hash, "hash-2");
}

#[test]
fn sessions_that_ended_make_room_and_then_the_oldest_closes() {
    let full = registered((1..=MAX_OPEN_SESSIONS as u128).map(|number| opened(number, &[])));
    full.when(open("hash-1", None, 999, &[])).then([opened(999, &[1])]);
    full.when(open("hash-1", None, 999, &[50, 60])).then([opened(999, &[50, 60])]);
}

#[test]
fn a_session_from_before_disabling_does_not_come_back() {
    let account =
        registered([opened(1, &[]), AccountDisabled::default().into(), AccountEnabled::default().into()]);
    let account = account.state().unwrap();
    assert!(account.is_live() && !account.has_open(session(1)));
}

#[test]
fn a_role_is_granted_once() {
    registered([])
        .when(|account| grant(account, None, Role::Admin))
        .then([roles(&[Role::User, Role::Admin])]);
    registered([roles(&[Role::User, Role::Admin])])
        .when(|account| grant(account, None, Role::Admin))
        .then_nothing();
}

#[test]
fn another_role_makes_nobody_an_admin_again() {
    let listed = roles(&[Role::User, Role::Admin]);
    let auditor = |admins: Option<Admins>| {
        move |account: Option<&Account>| grant(account, admins.as_ref(), Role::Auditor)
    };
    registered([listed.clone()]).when(auditor(None)).then([roles(&[Role::User, Role::Auditor])]);
    let every_role = [roles(&[Role::User, Role::Auditor, Role::Admin])];
    let admins = Admins { accounts: BTreeSet::from([UserId(Uuid::from_u128(1))]), ..Admins::default() };
    registered([listed.clone()]).when(auditor(Some(admins))).then(every_role.clone());
    registered([listed, AccountDisabled::default().into()]).when(auditor(None)).then(every_role);
}

#[test]
fn roles_are_replaced_as_a_whole() {
    let admin = registered([roles(&[Role::User, Role::Admin])]);
    admin
        .when(|account| set_roles(account, &BTreeSet::from([Role::Auditor]), None))
        .then([roles(&[Role::Auditor])]);
    admin.when(|account| set_roles(account, &BTreeSet::from([Role::Admin, Role::User]), None)).then_nothing();
}

#[test]
fn disabling_and_enabling_happen_once_each() {
    let enabled = registered([]);
    enabled.when(disabling).then([AccountDisabled::default().into()]);
    enabled.when(enabling).then_nothing();
    let disabled = registered([AccountDisabled::default().into()]);
    disabled.when(disabling).then_nothing();
    disabled.when(enabling).then([AccountEnabled::default().into()]);
}

#[test]
fn whoever_is_no_admin_when_they_are_disabled_is_none_once_they_are_enabled() {
    let disabling_beside =
        |admins: Admins| move |account: Option<&Account>| disable(account, Some(&admins), None);
    let disabled = AccountEvent::from(AccountDisabled::default());
    let lost = registered([roles(&[Role::User, Role::Admin])]);
    lost.when(disabling_beside(Admins::default())).then([roles(&[Role::User]), disabled.clone()]);
    lost.when(disabling).then([disabled.clone()]);
    let among = Admins { accounts: BTreeSet::from([UserId(Uuid::from_u128(1))]), ..Admins::default() };
    for admins in [among, Admins::default().after_unreadable()] {
        lost.when(disabling_beside(admins)).then([disabled.clone()]);
    }
    registered([]).when(disabling_beside(Admins::default())).then([disabled]);
}

#[test]
fn what_an_admin_does_says_why() {
    let reason = AdminReason::from("Ticket 4711");
    let admin_reason = Some(reason.clone());
    registered([])
        .when(|account| disable(account, None, Some(&reason)))
        .then([AccountDisabled { admin_reason: admin_reason.clone() }.into()]);
    registered([AccountDisabled::default().into()])
        .when(|account| enable(account, Some(&reason)))
        .then([AccountEnabled { admin_reason: admin_reason.clone() }.into()]);
    let roles = BTreeSet::from([Role::Auditor]);
    registered([]).when(|account| set_roles(account, &roles, Some(&reason))).then([RolesChanged {
        roles: roles.clone(),
        admin_reason,
    }
    .into()]);
}

#[test]
fn what_a_program_had_before_its_account_was_disabled_is_worthless_for_good() {
    let created = program_token(1);
    let token = created.token;
    let disabled = [AccountDisabled::default().into(), ProgramTokenRevoked { token }.into()];
    registered([created.clone().into()]).when(disabling).then(disabled.clone());
    let later = [created.into()].into_iter().chain(disabled).chain([AccountEnabled::default().into()]);
    assert!(registered(later).state().unwrap().program_tokens.is_empty());
}

#[test]
fn a_disabled_account_changes_nothing_of_its_own() {
    let disabled = registered([AccountDisabled::default().into()]);
    disabled.when(|account| rename(account, None)).then_refused(Refusal::AccountIsDisabled);
    disabled.when(change("hash-1", "hash-2", 1)).then_refused(Refusal::AccountIsDisabled);
    disabled.when(open("hash-1", None, 1, &[])).then_refused(Refusal::AccountIsDisabled);
}

#[test]
fn a_person_is_erased_once() {
    registered([]).when(erase).then([AccountErased {}.into()]);
    registered([AccountDisabled::default().into()]).when(erase).then([AccountErased {}.into()]);
    registered([AccountErased {}.into()]).when(erase).then_nothing();
    account([]).when(erase).then_refused(Refusal::AccountIsUnknown);
}

#[test]
fn people_erase_themselves_with_the_password_that_counts() {
    let erase_with = |hash: &'static str| move |account: Option<&Account>| erase_own(account, &hash.into());
    let usable = registered([]);
    usable.when(erase_with("hash-1")).then([AccountErased {}.into()]);
    usable.when(erase_with("hash-0")).then_refused(Refusal::PasswordHasChanged);
    registered([AccountDisabled::default().into()])
        .when(erase_with("hash-1"))
        .then_refused(Refusal::AccountIsDisabled);
    registered([AccountErased {}.into()]).when(erase_with("hash-1")).then_nothing();
}

#[test]
fn an_erased_account_keeps_nothing_of_the_person() {
    let erased = registered([opened(1, &[]), AccountErased {}.into()]);
    let state = erased.state().unwrap();
    assert!(state.email.is_empty() && state.display_name.is_none() && state.password_hash.is_empty());
    assert!(state.roles.is_empty() && state.open_sessions.is_empty() && !state.is_live());
}

#[test]
fn nothing_happens_to_an_account_that_is_not_there() {
    let decisions: [fn(Option<&Account>) -> Decided; 7] = [
        |account| rename(account, None),
        |account| change("hash-1", "hash-2", 1)(account),
        end_sessions,
        |account| grant(account, None, Role::Admin),
        |account| set_roles(account, &BTreeSet::new(), None),
        disabling,
        enabling,
    ];
    for account in [account([]), registered([AccountErased {}.into()])] {
        for decide in decisions {
            account.when(decide).then_refused(Refusal::AccountIsUnknown);
        }
    }
}
