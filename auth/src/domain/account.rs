//! Decisions about accounts. A change that changes nothing makes no event.

use std::collections::BTreeSet;

use events::{
    Account, AccountDisabled, AccountEnabled, AccountErased, AccountEvent, AccountRegistered, AccountRenamed,
    AccountSessionOpened, AccountSessionsEnded, MAX_OPEN_SESSIONS, PasswordChanged, PasswordRehashed, Role,
    RolesChanged, SecretHash, SessionId,
};

use super::{Refusal, program_token};

/// What a decision about an account comes to.
pub(crate) type Decided = Result<Vec<AccountEvent>, Refusal>;

/// Opens the account. Of all who try it for one address, whoever is first in the stream wins.
pub(crate) fn register(account: Option<&Account>, registered: &AccountRegistered) -> Decided {
    match account {
        Some(_) => Err(Refusal::EmailIsTaken),
        None => Ok(vec![registered.clone().into()]),
    }
}

/// Changes how the person is called.
pub(crate) fn rename(account: Option<&Account>, display_name: Option<&str>) -> Decided {
    let account = usable(account)?;
    if account.display_name.as_deref() == display_name {
        return Ok(Vec::new());
    }
    Ok(vec![
        AccountRenamed {
            display_name: display_name.map(str::to_owned),
        }
        .into(),
    ])
}

/// Replaces the password hash `old` by `new`, and closes every session but `surviving`. Refused when the hash is no
/// longer `old`, because then whoever asks has proved knowledge of a password that counts no more.
pub(crate) fn change_password(
    account: Option<&Account>,
    old: &SecretHash,
    new: &SecretHash,
    surviving: SessionId,
) -> Decided {
    if usable(account)?.password_hash != *old {
        return Err(Refusal::PasswordHasChanged);
    }
    Ok(vec![
        PasswordChanged {
            password_hash: new.clone(),
            surviving_session: Some(surviving),
        }
        .into(),
    ])
}

/// Opens `session` for whoever proved to know the password behind `verified`, which is hashed again as `rehashed` if that
/// is due, unless the account has a second factor.
pub(crate) fn open_session(
    account: Option<&Account>,
    verified: &SecretHash,
    rehashed: Option<&SecretHash>,
    session: SessionId,
    ended: &[SessionId],
) -> Decided {
    let account = usable(account)?;
    if account.password_hash != *verified {
        return Err(Refusal::PasswordHasChanged);
    }
    if account.confirmed_second_factor().is_some() {
        return Err(Refusal::SecondFactorIsRequired);
    }
    let rehashed = rehashed.map(|hash| {
        AccountEvent::from(PasswordRehashed {
            password_hash: hash.clone(),
        })
    });
    let opened = opening(account, session, ended);
    Ok(rehashed.into_iter().chain([opened]).collect())
}

/// The event that opens `session`. Sessions that are known to have ended make room; if that is not enough, the oldest is
/// closed.
pub(super) fn opening(account: &Account, session: SessionId, ended: &[SessionId]) -> AccountEvent {
    let (mut closed, open): (Vec<_>, Vec<_>) = account
        .open_sessions
        .iter()
        .partition(|open| ended.contains(open));
    let surplus = (open.len() + 1).saturating_sub(MAX_OPEN_SESSIONS);
    closed.extend(open.into_iter().take(surplus));
    AccountSessionOpened { session, closed }.into()
}

/// Notes that the password behind `verified` was hashed again.
pub(crate) fn rehash(account: Option<&Account>, verified: &SecretHash, rehashed: &SecretHash) -> Decided {
    if usable(account)?.password_hash != *verified {
        return Err(Refusal::PasswordHasChanged);
    }
    Ok(vec![
        PasswordRehashed {
            password_hash: rehashed.clone(),
        }
        .into(),
    ])
}

/// Closes every session.
pub(crate) fn end_sessions(account: Option<&Account>) -> Decided {
    Ok(if existing(account)?.open_sessions.is_empty() {
        Vec::new()
    } else {
        vec![AccountSessionsEnded {}.into()]
    })
}

/// Gives one more role.
pub(crate) fn grant(account: Option<&Account>, role: Role) -> Decided {
    let mut roles = existing(account)?.roles.clone();
    roles.insert(role);
    set_roles(account, &roles)
}

/// Whether the account is there at all.
pub(crate) fn exists(account: Option<&Account>) -> Result<(), Refusal> {
    existing(account).map(drop)
}

/// Replaces the roles.
pub(crate) fn set_roles(account: Option<&Account>, roles: &BTreeSet<Role>) -> Decided {
    if existing(account)?.roles == *roles {
        return Ok(Vec::new());
    }
    Ok(vec![RolesChanged { roles: roles.clone() }.into()])
}

/// Forbids the account to be used. What was handed out before stays worthless when it may be used again: every session is
/// closed, and every program token is taken back.
pub(crate) fn disable(account: Option<&Account>) -> Decided {
    let account = existing(account)?;
    if account.disabled {
        return Ok(Vec::new());
    }
    let disabled = std::iter::once(AccountDisabled {}.into());
    Ok(disabled.chain(program_token::all_revoked(account)).collect())
}

/// Allows the account to be used again.
pub(crate) fn enable(account: Option<&Account>) -> Decided {
    Ok(if existing(account)?.disabled {
        vec![AccountEnabled {}.into()]
    } else {
        Vec::new()
    })
}

/// Erases the person behind the account, as an operator wants it.
pub(crate) fn erase(account: Option<&Account>) -> Decided {
    match account {
        None => Err(Refusal::AccountIsUnknown),
        Some(account) if account.erased => Ok(Vec::new()),
        Some(_) => Ok(vec![AccountErased {}.into()]),
    }
}

/// Erases the person behind the account, who proved to know the password behind `verified`. Refused when that is no longer
/// the password, and when the account may not be used.
pub(crate) fn erase_own(account: Option<&Account>, verified: &SecretHash) -> Decided {
    if account.is_some_and(|account| account.erased) {
        return Ok(Vec::new());
    }
    if usable(account)?.password_hash != *verified {
        return Err(Refusal::PasswordHasChanged);
    }
    erase(account)
}

pub(super) fn existing(account: Option<&Account>) -> Result<&Account, Refusal> {
    account
        .filter(|account| !account.erased)
        .ok_or(Refusal::AccountIsUnknown)
}

pub(super) fn usable(account: Option<&Account>) -> Result<&Account, Refusal> {
    let account = existing(account)?;
    if account.disabled {
        Err(Refusal::AccountIsDisabled)
    } else {
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use aggregate::testing::{Given, given};
    use events::{ProgramTokenCreated, ProgramTokenRevoked, Scope, TokenId, UserId};
    use uuid::Uuid;

    use super::*;

    /// Ada's account, to which `later` happened after she registered.
    fn account(later: impl IntoIterator<Item = AccountEvent>) -> Given<Account> {
        history(std::iter::once(ada()).chain(later))
    }

    fn history(events: impl IntoIterator<Item = AccountEvent>) -> Given<Account> {
        given(UserId(Uuid::from_u128(1)), events)
    }

    fn registered() -> AccountRegistered {
        AccountRegistered {
            email: "ada@example.com".into(),
            display_name: Some("Ada".into()),
            password_hash: "hash-1".into(),
        }
    }

    fn session(number: u128) -> SessionId {
        SessionId(Uuid::from_u128(number))
    }

    fn opened(number: u128, closed: &[u128]) -> AccountEvent {
        AccountSessionOpened {
            session: session(number),
            closed: closed.iter().copied().map(session).collect(),
        }
        .into()
    }

    fn ada() -> AccountEvent {
        registered().into()
    }

    fn roles(roles: &[Role]) -> AccountEvent {
        RolesChanged {
            roles: roles.iter().copied().collect(),
        }
        .into()
    }

    fn renamed(name: Option<&str>) -> AccountEvent {
        AccountRenamed {
            display_name: name.map(str::to_owned),
        }
        .into()
    }

    fn rehashed(hash: &str) -> AccountEvent {
        PasswordRehashed {
            password_hash: hash.into(),
        }
        .into()
    }

    fn password_changed(hash: &str, surviving: u128) -> AccountEvent {
        PasswordChanged {
            password_hash: hash.into(),
            surviving_session: Some(session(surviving)),
        }
        .into()
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
        move |account| {
            open_session(
                account,
                &verified.into(),
                rehashed.as_ref(),
                session(number),
                &ended,
            )
        }
    }

    #[test]
    fn an_empty_stream_is_registered() {
        history([])
            .when(|account| register(account, &registered()))
            .then([ada()]);
    }

    #[test]
    fn an_account_is_registered_once() {
        account([])
            .when(|account| register(account, &registered()))
            .then_refused(Refusal::EmailIsTaken);
    }

    #[test]
    fn renaming_changes_the_name_or_nothing() {
        let account = account([]);
        account
            .when(|account| rename(account, Some("Countess")))
            .then([renamed(Some("Countess"))]);
        account
            .when(|account| rename(account, None))
            .then([renamed(None)]);
        account
            .when(|account| rename(account, Some("Ada")))
            .then_nothing();
    }

    #[test]
    fn a_password_is_replaced_only_while_it_is_the_one_that_was_shown() {
        account([])
            .when(change("hash-1", "hash-2", 1))
            .then([password_changed("hash-2", 1)]);
        account([password_changed("hash-2", 1)])
            .when(change("hash-1", "hash-3", 1))
            .then_refused(Refusal::PasswordHasChanged);
    }

    #[test]
    fn a_changed_password_closes_every_session_but_the_one_that_changed_it() {
        let before = [opened(1, &[]), opened(2, &[]), opened(3, &[])];
        account(before.clone())
            .when(change("hash-1", "hash-2", 2))
            .then([password_changed("hash-2", 2)]);
        let after = account(before.into_iter().chain([password_changed("hash-2", 2)]));
        assert_eq!(after.state().unwrap().open_sessions, [session(2)]);
    }

    #[test]
    fn all_sessions_end_at_once_and_only_if_there_are_any() {
        account([opened(1, &[]), opened(2, &[])])
            .when(end_sessions)
            .then([AccountSessionsEnded {}.into()]);
        let after = account([opened(1, &[]), AccountSessionsEnded {}.into()]);
        assert!(after.state().unwrap().open_sessions.is_empty());
        after.when(end_sessions).then_nothing();
    }

    #[test]
    fn a_session_is_opened_for_the_password_that_counts() {
        let account = account([]);
        account.when(open("hash-1", None, 1, &[])).then([opened(1, &[])]);
        account
            .when(open("hash-0", None, 1, &[]))
            .then_refused(Refusal::PasswordHasChanged);
        account
            .when(open("hash-1", Some("hash-2"), 1, &[]))
            .then([rehashed("hash-2"), opened(1, &[])]);
    }

    #[test]
    fn a_rehashed_password_closes_no_session() {
        let account = account([opened(1, &[]), rehashed("hash-2")]);
        let account = account.state().unwrap();
        assert!(account.has_open(session(1)));
        assert_eq!(&*account.password_hash, "hash-2");
    }

    #[test]
    fn sessions_that_ended_make_room_and_then_the_oldest_closes() {
        let full = account((1..=MAX_OPEN_SESSIONS as u128).map(|number| opened(number, &[])));
        full.when(open("hash-1", None, 999, &[]))
            .then([opened(999, &[1])]);
        full.when(open("hash-1", None, 999, &[50, 60]))
            .then([opened(999, &[50, 60])]);
    }

    #[test]
    fn a_session_from_before_disabling_does_not_come_back() {
        let account = account([
            opened(1, &[]),
            AccountDisabled {}.into(),
            AccountEnabled {}.into(),
        ]);
        let account = account.state().unwrap();
        assert!(account.is_live() && !account.has_open(session(1)));
    }

    #[test]
    fn a_role_is_granted_once() {
        account([])
            .when(|account| grant(account, Role::Admin))
            .then([roles(&[Role::User, Role::Admin])]);
        account([roles(&[Role::User, Role::Admin])])
            .when(|account| grant(account, Role::Admin))
            .then_nothing();
    }

    #[test]
    fn roles_are_replaced_as_a_whole() {
        let admin = account([roles(&[Role::User, Role::Admin])]);
        admin
            .when(|account| set_roles(account, &BTreeSet::from([Role::Auditor])))
            .then([roles(&[Role::Auditor])]);
        admin
            .when(|account| set_roles(account, &BTreeSet::from([Role::Admin, Role::User])))
            .then_nothing();
    }

    #[test]
    fn disabling_and_enabling_happen_once_each() {
        let enabled = account([]);
        enabled.when(disable).then([AccountDisabled {}.into()]);
        enabled.when(enable).then_nothing();
        let disabled = account([AccountDisabled {}.into()]);
        disabled.when(disable).then_nothing();
        disabled.when(enable).then([AccountEnabled {}.into()]);
    }

    #[test]
    fn what_a_program_had_before_its_account_was_disabled_is_worthless_for_good() {
        let token = TokenId(Uuid::from_u128(5));
        let created = ProgramTokenCreated {
            token,
            name: "Backup".into(),
            scopes: [Scope::TasksRead].into(),
            token_hash: "hash".into(),
            expires_at: None,
        };
        let disabled = [AccountDisabled {}.into(), ProgramTokenRevoked { token }.into()];
        account([created.clone().into()])
            .when(disable)
            .then(disabled.clone());
        let later = [created.into()]
            .into_iter()
            .chain(disabled)
            .chain([AccountEnabled {}.into()]);
        assert!(account(later).state().unwrap().program_tokens.is_empty());
    }

    #[test]
    fn a_disabled_account_changes_nothing_of_its_own() {
        let disabled = account([AccountDisabled {}.into()]);
        disabled
            .when(|account| rename(account, None))
            .then_refused(Refusal::AccountIsDisabled);
        disabled
            .when(change("hash-1", "hash-2", 1))
            .then_refused(Refusal::AccountIsDisabled);
        disabled
            .when(open("hash-1", None, 1, &[]))
            .then_refused(Refusal::AccountIsDisabled);
    }

    #[test]
    fn a_person_is_erased_once() {
        account([]).when(erase).then([AccountErased {}.into()]);
        account([AccountDisabled {}.into()])
            .when(erase)
            .then([AccountErased {}.into()]);
        account([AccountErased {}.into()]).when(erase).then_nothing();
        history([]).when(erase).then_refused(Refusal::AccountIsUnknown);
    }

    #[test]
    fn people_erase_themselves_with_the_password_that_counts() {
        let erase_with =
            |hash: &'static str| move |account: Option<&Account>| erase_own(account, &hash.into());
        let registered = account([]);
        registered
            .when(erase_with("hash-1"))
            .then([AccountErased {}.into()]);
        registered
            .when(erase_with("hash-0"))
            .then_refused(Refusal::PasswordHasChanged);
        account([AccountDisabled {}.into()])
            .when(erase_with("hash-1"))
            .then_refused(Refusal::AccountIsDisabled);
        account([AccountErased {}.into()])
            .when(erase_with("hash-1"))
            .then_nothing();
    }

    #[test]
    fn an_erased_account_keeps_nothing_of_the_person() {
        let erased = account([opened(1, &[]), AccountErased {}.into()]);
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
            |account| grant(account, Role::Admin),
            |account| set_roles(account, &BTreeSet::new()),
            disable,
            enable,
        ];
        for account in [history([]), account([AccountErased {}.into()])] {
            for decide in decisions {
                account.when(decide).then_refused(Refusal::AccountIsUnknown);
            }
        }
    }
}
