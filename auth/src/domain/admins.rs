//! Decisions about who the admins are, what this means for an account, and which roles need a second factor.
//!
//! The stream `admins` is authoritative: an account in it is an admin and enabled, even while the account's own stream
//! says otherwise. So there is always an admin, because the last account in that stream cannot be removed. Each change
//! ends with [`follow`], so that the two streams agree.

use std::collections::BTreeSet;

use events::{
    Account, Actor, AdminAdded, AdminRemoved, Admins, AdminsEvent, Role, SecondFactorRolesChanged, UserId,
};

use super::Refusal;

/// Brings the admins in line with the own stream of `account`. If that says that the account is an admin, only a
/// command that `gives` the role adds it: a removal that has not come to its end looks the same.
pub(crate) fn follow(
    admins: Option<&Admins>,
    account: &Account,
    gives: bool,
    actor: Actor,
) -> Result<Vec<AdminsEvent>, Refusal> {
    let is_admin = account.is_live() && account.roles.contains(&Role::Admin);
    match is_admin {
        _ if account.erased => Ok(remove_erased(admins, account.id)),
        true if gives => add(admins, account.id, actor),
        true => Ok(Vec::new()),
        false => revoke(admins, account),
    }
}

/// Adds an account, unless it is among the admins. A person who adds another must be an admin at this very version of
/// the stream, so that somebody who is being removed cannot come back.
fn add(admins: Option<&Admins>, account: UserId, actor: Actor) -> Result<Vec<AdminsEvent>, Refusal> {
    if contains(admins, account) {
        return Ok(Vec::new());
    }
    match actor.person() {
        Some(person) if !contains(admins, person) => Err(Refusal::ActorIsNoAdmin),
        _ => Ok(vec![AdminAdded { account }.into()]),
    }
}

/// Takes the role from `account`, unless it is the last admin. Also if it is an admin only according to a record that
/// cannot be read: it must not be one again when a newer release reads that record.
pub(crate) fn revoke(admins: Option<&Admins>, account: &Account) -> Result<Vec<AdminsEvent>, Refusal> {
    let id = account.id;
    if is_unknown(admins, id) && account.roles.contains(&Role::Admin) {
        return Ok(vec![AdminRemoved { account: id }.into()]);
    }
    remove(admins, id)
}

/// Removes an account that is among the admins, unless it is the last.
pub(crate) fn remove(admins: Option<&Admins>, account: UserId) -> Result<Vec<AdminsEvent>, Refusal> {
    if !contains(admins, account) {
        return Ok(Vec::new());
    }
    if admins.is_some_and(|admins| admins.accounts.len() == 1) {
        return Err(Refusal::AccountIsLastAdmin(account));
    }
    Ok(vec![AdminRemoved { account }.into()])
}

/// Removes an account whose person was erased, also if it is the last: they must not come back as an admin.
pub(crate) fn remove_erased(admins: Option<&Admins>, account: UserId) -> Vec<AdminsEvent> {
    match contains(admins, account) {
        true => vec![AdminRemoved { account }.into()],
        false => Vec::new(),
    }
}

/// Makes `roles`, and no others, valid only in sessions with a second factor.
pub(crate) fn set_second_factor_roles(admins: Option<&Admins>, roles: &BTreeSet<Role>) -> Vec<AdminsEvent> {
    let are_so = admins.map_or(roles.is_empty(), |admins| {
        let known = admins.since_unreadable.as_ref();
        admins.second_factor_roles == *roles && known.is_none_or(|known| known.second_factor_roles)
    });
    if are_so {
        Vec::new()
    } else {
        let roles = roles.clone();
        vec![SecondFactorRolesChanged { roles }.into()]
    }
}

/// The effective state of `account`: its roles and whether it is enabled, with the facts of the stream `admins`.
pub(crate) fn effective(mut account: Account, admins: Option<&Admins>) -> Account {
    if account.erased {
        return account;
    }
    if contains(admins, account.id) {
        account.roles.insert(Role::Admin);
        account.disabled = false;
    } else {
        account.roles.remove(&Role::Admin);
    }
    account
}

pub(super) fn contains(admins: Option<&Admins>, account: UserId) -> bool {
    admins.is_some_and(|admins| admins.accounts.contains(&account))
}

/// Whether a record that cannot be read may say something else of the account than `admins` do.
pub(super) fn is_unknown(admins: Option<&Admins>, account: UserId) -> bool {
    admins.is_some_and(|admins| admins.is_unknown(account))
}

#[cfg(test)]
mod tests;
