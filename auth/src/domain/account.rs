//! Decisions about accounts. A change that changes nothing makes no event.

use std::collections::BTreeSet;

use events::{
    Account, AccountDisabled, AccountEnabled, AccountEvent, AccountRegistered, AccountRenamed,
    AccountSessionOpened, AccountSessionsEnded, MAX_OPEN_SESSIONS, PasswordChanged, PasswordRehashed, Role,
    RolesChanged, SecretHash, SessionId,
};

use super::Refusal;

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
/// is due. Sessions that are known to have ended make room; if that is not enough, the oldest is closed.
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
    let (mut closed, open): (Vec<_>, Vec<_>) = account
        .open_sessions
        .iter()
        .partition(|open| ended.contains(open));
    let surplus = (open.len() + 1).saturating_sub(MAX_OPEN_SESSIONS);
    closed.extend(open.into_iter().take(surplus));
    let rehashed = rehashed.map(|hash| {
        AccountEvent::from(PasswordRehashed {
            password_hash: hash.clone(),
        })
    });
    let opened = AccountSessionOpened { session, closed };
    Ok(rehashed.into_iter().chain([opened.into()]).collect())
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

/// Forbids the account to be used.
pub(crate) fn disable(account: Option<&Account>) -> Decided {
    Ok(if existing(account)?.disabled {
        Vec::new()
    } else {
        vec![AccountDisabled {}.into()]
    })
}

/// Allows the account to be used again.
pub(crate) fn enable(account: Option<&Account>) -> Decided {
    Ok(if existing(account)?.disabled {
        vec![AccountEnabled {}.into()]
    } else {
        Vec::new()
    })
}

fn existing(account: Option<&Account>) -> Result<&Account, Refusal> {
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
    use events::{AccountErased, Timestamp, UserId};
    use uuid::Uuid;

    use super::*;

    fn given(events: &[AccountEvent]) -> Option<Account> {
        let id = UserId(Uuid::from_u128(1));
        (1..).zip(events).fold(None, |state, (version, event)| {
            Account::evolve(state, id, event, version, Timestamp::from_micros(0))
        })
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

    fn change(account: Option<&Account>, old: &str, new: &str) -> Decided {
        change_password(account, &old.into(), &new.into(), session(1))
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

    #[test]
    fn an_empty_stream_is_registered() {
        assert_eq!(register(given(&[]).as_ref(), &registered()), Ok(vec![ada()]));
    }

    #[test]
    fn an_account_is_registered_once() {
        assert_eq!(
            register(given(&[ada()]).as_ref(), &registered()),
            Err(Refusal::EmailIsTaken)
        );
    }

    #[test]
    fn renaming_changes_the_name_or_nothing() {
        let account = given(&[ada()]);
        let renamed = |name: Option<&str>| {
            vec![
                AccountRenamed {
                    display_name: name.map(str::to_owned),
                }
                .into(),
            ]
        };
        assert_eq!(
            rename(account.as_ref(), Some("Countess")),
            Ok(renamed(Some("Countess")))
        );
        assert_eq!(rename(account.as_ref(), None), Ok(renamed(None)));
        assert_eq!(rename(account.as_ref(), Some("Ada")), Ok(vec![]));
    }

    #[test]
    fn a_password_is_replaced_only_while_it_is_the_one_that_was_shown() {
        let account = given(&[ada()]);
        let changed = vec![
            PasswordChanged {
                password_hash: "hash-2".into(),
                surviving_session: Some(session(1)),
            }
            .into(),
        ];
        assert_eq!(change(account.as_ref(), "hash-1", "hash-2"), Ok(changed.clone()));
        let account = given(&[vec![ada()], changed].concat());
        assert_eq!(
            change(account.as_ref(), "hash-1", "hash-3"),
            Err(Refusal::PasswordHasChanged)
        );
    }

    #[test]
    fn a_changed_password_closes_every_session_but_the_one_that_changed_it() {
        let before = given(&[ada(), opened(1, &[]), opened(2, &[]), opened(3, &[])]).unwrap();
        let events = change_password(Some(&before), &"hash-1".into(), &"hash-2".into(), session(2)).unwrap();
        let after =
            Account::evolve(Some(before.clone()), before.id, &events[0], 5, before.created_at).unwrap();
        assert_eq!(after.open_sessions, [session(2)]);
        let events = end_sessions(Some(&after)).unwrap();
        let after = Account::evolve(Some(after), before.id, &events[0], 6, before.created_at).unwrap();
        assert!(after.open_sessions.is_empty());
        assert_eq!(end_sessions(Some(&after)), Ok(vec![]));
    }

    #[test]
    fn a_session_is_opened_for_the_password_that_counts() {
        let account = given(&[ada()]);
        let open = |verified: &str, rehashed: Option<&str>| {
            let rehashed = rehashed.map(SecretHash::from);
            open_session(
                account.as_ref(),
                &verified.into(),
                rehashed.as_ref(),
                session(1),
                &[],
            )
        };
        assert_eq!(open("hash-1", None), Ok(vec![opened(1, &[])]));
        assert_eq!(open("hash-0", None), Err(Refusal::PasswordHasChanged));
        let rehashed = PasswordRehashed {
            password_hash: "hash-2".into(),
        };
        assert_eq!(
            open("hash-1", Some("hash-2")),
            Ok(vec![rehashed.into(), opened(1, &[])])
        );
    }

    #[test]
    fn a_rehashed_password_closes_no_session() {
        let rehashed = PasswordRehashed {
            password_hash: "hash-2".into(),
        };
        let account = given(&[ada(), opened(1, &[]), rehashed.into()]).unwrap();
        assert!(account.has_open(session(1)));
        assert_eq!(&*account.password_hash, "hash-2");
    }

    #[test]
    fn sessions_that_ended_make_room_and_then_the_oldest_closes() {
        let full: Vec<_> = std::iter::once(ada())
            .chain((1..=MAX_OPEN_SESSIONS as u128).map(|number| opened(number, &[])))
            .collect();
        let account = given(&full);
        let open =
            |ended: &[SessionId]| open_session(account.as_ref(), &"hash-1".into(), None, session(999), ended);
        assert_eq!(open(&[]), Ok(vec![opened(999, &[1])]));
        assert_eq!(
            open(&[session(50), session(60)]),
            Ok(vec![opened(999, &[50, 60])])
        );
    }

    #[test]
    fn a_session_from_before_disabling_does_not_come_back() {
        let account = given(&[
            ada(),
            opened(1, &[]),
            AccountDisabled {}.into(),
            AccountEnabled {}.into(),
        ])
        .unwrap();
        assert!(account.is_live() && !account.has_open(session(1)));
    }

    #[test]
    fn a_role_is_granted_once() {
        let account = given(&[ada()]);
        assert_eq!(
            grant(account.as_ref(), Role::Admin),
            Ok(vec![roles(&[Role::User, Role::Admin])])
        );
        let account = given(&[ada(), roles(&[Role::User, Role::Admin])]);
        assert_eq!(grant(account.as_ref(), Role::Admin), Ok(vec![]));
    }

    #[test]
    fn roles_are_replaced_as_a_whole() {
        let account = given(&[ada(), roles(&[Role::User, Role::Admin])]);
        let set = |names: &[Role]| set_roles(account.as_ref(), &names.iter().copied().collect());
        assert_eq!(set(&[Role::Auditor]), Ok(vec![roles(&[Role::Auditor])]));
        assert_eq!(set(&[Role::Admin, Role::User]), Ok(vec![]));
    }

    #[test]
    fn disabling_and_enabling_happen_once_each() {
        let account = given(&[ada()]);
        assert_eq!(disable(account.as_ref()), Ok(vec![AccountDisabled {}.into()]));
        assert_eq!(enable(account.as_ref()), Ok(vec![]));
        let account = given(&[ada(), AccountDisabled {}.into()]);
        assert_eq!(disable(account.as_ref()), Ok(vec![]));
        assert_eq!(enable(account.as_ref()), Ok(vec![AccountEnabled {}.into()]));
    }

    #[test]
    fn a_disabled_account_changes_nothing_of_its_own() {
        let account = given(&[ada(), AccountDisabled {}.into()]);
        assert_eq!(rename(account.as_ref(), None), Err(Refusal::AccountIsDisabled));
        assert_eq!(
            change(account.as_ref(), "hash-1", "hash-2"),
            Err(Refusal::AccountIsDisabled)
        );
    }

    #[test]
    fn nothing_happens_to_an_account_that_is_not_there() {
        for account in [given(&[]), given(&[ada(), AccountErased {}.into()])] {
            let account = account.as_ref();
            let unknown = Err(Refusal::AccountIsUnknown);
            assert_eq!(rename(account, None), unknown);
            assert_eq!(change(account, "hash-1", "hash-2"), unknown);
            assert_eq!(end_sessions(account), unknown);
            assert_eq!(grant(account, Role::Admin), unknown);
            assert_eq!(set_roles(account, &BTreeSet::new()), unknown);
            assert_eq!(disable(account), unknown);
            assert_eq!(enable(account), unknown);
        }
    }
}
