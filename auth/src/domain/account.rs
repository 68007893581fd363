//! Decisions about accounts. A change that changes nothing makes no event.

use std::collections::BTreeSet;

use events::{
    Account, AccountDisabled, AccountEnabled, AccountErased, AccountEvent, AccountRegistered, AccountRenamed,
    AccountSessionOpened, AccountSessionsEnded, AdminReason, Admins, EndReason, MAX_OPEN_SESSIONS,
    PasswordChanged, PasswordRehashed, ProgramTokenRevoked, Role, RolesChanged, SecretHash, SessionId,
};

use super::{
    Refusal,
    admins::{contains, is_unknown},
};

pub(crate) type Decided = Result<Vec<AccountEvent>, Refusal>;

/// Registers the account. Of concurrent registrations of one address, the first in the stream succeeds.
pub(crate) fn register(account: Option<&Account>, registered: &AccountRegistered) -> Decided {
    match account {
        Some(_) => Err(Refusal::EmailIsTaken),
        None => Ok(vec![registered.clone().into()]),
    }
}

pub(crate) fn rename(account: Option<&Account>, display_name: Option<&str>) -> Decided {
    let account = usable(account)?;
    if account.display_name.as_deref() == display_name {
        return Ok(Vec::new());
    }
    Ok(vec![AccountRenamed { display_name: display_name.map(str::to_owned) }.into()])
}

/// Replaces the password hash `old` by `new`, and closes every session but `surviving`. Refused when the hash is no
/// longer `old`.
pub(crate) fn change_password(
    account: Option<&Account>,
    old: &SecretHash,
    new: &SecretHash,
    surviving: SessionId,
) -> Decided {
    with_password(account, old)?;
    Ok(vec![PasswordChanged { password_hash: new.clone(), surviving_session: Some(surviving) }.into()])
}

/// Closes every session but `surviving`, as a change does, when the new password is in place already. There are no
/// others if the change is only repeated.
pub(crate) fn repeat_password_change(
    account: Option<&Account>,
    verified: &SecretHash,
    surviving: SessionId,
) -> Decided {
    let account = with_password(account, verified)?;
    match account.open_sessions.iter().any(|open| *open != surviving) {
        true => change_password(Some(account), verified, verified, surviving),
        false => Ok(Vec::new()),
    }
}

/// Opens `session` after the password of the hash `verified` was shown, unless the account has a second factor. If
/// `rehashed` is given, it replaces the hash.
pub(crate) fn open_session(
    account: Option<&Account>,
    verified: &SecretHash,
    rehashed: Option<&SecretHash>,
    session: SessionId,
    ended: &[SessionId],
) -> Decided {
    let account = with_password(account, verified)?;
    if account.confirmed_second_factor().is_some() {
        return Err(Refusal::SecondFactorIsRequired);
    }
    let rehashed = rehashed.map(|hash| AccountEvent::from(PasswordRehashed { password_hash: hash.clone() }));
    let opened = opening(account, session, ended);
    Ok(rehashed.into_iter().chain([opened]).collect())
}

/// The event that opens `session`. Ended sessions make room; if that is not enough, the oldest is closed.
pub(super) fn opening(account: &Account, session: SessionId, ended: &[SessionId]) -> AccountEvent {
    let (mut closed, open): (Vec<_>, Vec<_>) =
        account.open_sessions.iter().partition(|open| ended.contains(open));
    let surplus = (open.len() + 1).saturating_sub(MAX_OPEN_SESSIONS);
    closed.extend(open.into_iter().take(surplus));
    AccountSessionOpened { session, closed }.into()
}

/// Replaces the hash `verified` by a new one of the same password.
pub(crate) fn rehash(account: Option<&Account>, verified: &SecretHash, rehashed: &SecretHash) -> Decided {
    with_password(account, verified)?;
    Ok(vec![PasswordRehashed { password_hash: rehashed.clone() }.into()])
}

pub(crate) fn end_sessions(account: Option<&Account>) -> Decided {
    Ok(if existing(account)?.open_sessions.is_empty() {
        Vec::new()
    } else {
        vec![AccountSessionsEnded {}.into()]
    })
}

/// Adds a role. An account that was removed from the `admins` does not get that role back with another one.
pub(crate) fn grant(account: Option<&Account>, admins: Option<&Admins>, role: Role) -> Decided {
    let account = existing(account)?;
    let mut roles = kept_roles(account, admins);
    roles.insert(role);
    set_roles(Some(account), &roles, None)
}

/// The roles of `account`, without that of an admin if it was removed from the `admins` or never came among them.
fn kept_roles(account: &Account, admins: Option<&Admins>) -> BTreeSet<Role> {
    let mut roles = account.roles.clone();
    // A disabled admin is not among the admins, but becomes one again when it is enabled.
    if account.is_live() && !contains(admins, account.id) && !is_unknown(admins, account.id) {
        roles.remove(&Role::Admin);
    }
    roles
}

/// Whether an account says of itself that it is an admin, and is none.
pub(crate) fn is_half_way(account: &Account, admins: &Admins) -> bool {
    kept_roles(account, Some(admins)) != account.roles
}

pub(crate) fn set_roles(
    account: Option<&Account>,
    roles: &BTreeSet<Role>,
    reason: Option<&AdminReason>,
) -> Decided {
    if existing(account)?.roles == *roles {
        return Ok(Vec::new());
    }
    let changed = RolesChanged { roles: roles.clone(), admin_reason: reason.cloned() };
    Ok(vec![changed.into()])
}

/// Disables the account. Sessions are closed and program tokens revoked for good, even if it is enabled again. If
/// `admins` are given, an account that is not among them loses that role, which enabling would give it back.
pub(crate) fn disable(
    account: Option<&Account>,
    admins: Option<&Admins>,
    reason: Option<&AdminReason>,
) -> Decided {
    let account = existing(account)?;
    if account.disabled {
        return Ok(Vec::new());
    }
    let roles = admins.map_or_else(|| account.roles.clone(), |admins| kept_roles(account, Some(admins)));
    let mut events = set_roles(Some(account), &roles, None)?;
    events.push(AccountDisabled { admin_reason: reason.cloned() }.into());
    events.extend(every_token_revoked(account));
    Ok(events)
}

/// Enables the account again.
pub(crate) fn enable(account: Option<&Account>, reason: Option<&AdminReason>) -> Decided {
    Ok(if existing(account)?.disabled {
        let admin_reason = reason.cloned();
        vec![AccountEnabled { admin_reason }.into()]
    } else {
        Vec::new()
    })
}

/// Erases the person of the account, for an operator.
pub(crate) fn erase(account: Option<&Account>) -> Decided {
    match account {
        None => Err(Refusal::AccountIsUnknown),
        Some(account) if account.erased => Ok(Vec::new()),
        Some(_) => Ok(vec![AccountErased {}.into()]),
    }
}

/// Erases the person of the account, who showed the password of the hash `verified`. Refused when that is no longer
/// the password, and when the account is disabled.
pub(super) fn erase_own(account: Option<&Account>, verified: &SecretHash) -> Decided {
    if account.is_some_and(|account| account.erased) {
        return Ok(Vec::new());
    }
    with_password(account, verified)?;
    erase(account)
}

/// The account, unless there is none or it is erased.
pub(crate) fn existing(account: Option<&Account>) -> Result<&Account, Refusal> {
    account.filter(|account| !account.erased).ok_or(Refusal::AccountIsUnknown)
}

pub(super) fn usable(account: Option<&Account>) -> Result<&Account, Refusal> {
    let account = existing(account)?;
    if account.disabled { Err(Refusal::AccountIsDisabled) } else { Ok(account) }
}

/// The usable account, which must have `session` open: one that has ended since the token was checked allows nothing.
pub(crate) fn in_session(account: Option<&Account>, session: SessionId) -> Result<&Account, Refusal> {
    match account {
        Some(account) if account.has_open(session) => Ok(account),
        Some(account) if account.erased => Err(Refusal::SessionHasEnded(EndReason::Erased)),
        _ => Err(Refusal::SessionHasEnded(EndReason::LogoutAll)),
    }
}

/// The usable account, whose password must still be the one of the hash `verified`: otherwise the caller proved a
/// password that is no longer valid.
pub(super) fn with_password<'a>(
    account: Option<&'a Account>,
    verified: &SecretHash,
) -> Result<&'a Account, Refusal> {
    let account = usable(account)?;
    if account.password_hash != *verified {
        return Err(Refusal::PasswordHasChanged);
    }
    Ok(account)
}

/// The events that revoke every program token of `account`.
pub(super) fn every_token_revoked(account: &Account) -> impl Iterator<Item = AccountEvent> {
    let tokens = account.program_tokens.iter();
    tokens.map(|token| ProgramTokenRevoked { token: token.id }.into())
}

#[cfg(test)]
mod tests;
