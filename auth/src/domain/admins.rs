//! Decisions about who the admins are, what this means for an account, and which roles need a second factor.
//!
//! The stream `admins` is authoritative: an account in it is an admin and enabled, even while the following events in
//! the account's own stream are missing. So there is always an admin, because the last account in that stream cannot
//! be removed.

use std::collections::BTreeSet;

use events::{
    Account, AdminAdded, AdminRemoved, Admins, AdminsEvent, Role, SecondFactorRolesChanged, UserId,
};

use super::Refusal;

/// Adds an account, unless it is among the admins.
pub(crate) fn add(admins: Option<&Admins>, account: UserId) -> Vec<AdminsEvent> {
    if contains(admins, account) {
        Vec::new()
    } else {
        vec![AdminAdded { account }.into()]
    }
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
    let are_so = admins.map_or(roles.is_empty(), |admins| admins.second_factor_roles == *roles);
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

fn contains(admins: Option<&Admins>, account: UserId) -> bool {
    admins.is_some_and(|admins| admins.accounts.contains(&account))
}

#[cfg(test)]
mod tests {
    use aggregate::testing::{Given, given};
    use events::{AccountDisabled, AccountEvent, AccountRegistered, RolesChanged};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn admins(events: impl IntoIterator<Item = AdminsEvent>) -> Given<Admins> {
        given((), events)
    }

    fn add_user(number: u128) -> impl FnOnce(Option<&Admins>) -> Result<Vec<AdminsEvent>, Refusal> {
        move |admins| Ok(add(admins, user(number)))
    }

    fn remove_user(number: u128) -> impl FnOnce(Option<&Admins>) -> Result<Vec<AdminsEvent>, Refusal> {
        move |admins| remove(admins, user(number))
    }

    fn added(number: u128) -> AdminsEvent {
        AdminAdded {
            account: user(number),
        }
        .into()
    }

    fn removed(number: u128) -> AdminsEvent {
        AdminRemoved {
            account: user(number),
        }
        .into()
    }

    #[test]
    fn an_admin_is_added_once() {
        admins([]).when(add_user(1)).then([added(1)]);
        admins([added(1)]).when(add_user(1)).then_nothing();
        admins([added(1), added(2), removed(1)])
            .when(add_user(1))
            .then([added(1)]);
    }

    #[test]
    fn the_last_admin_stays() {
        admins([added(1), added(2)])
            .when(remove_user(1))
            .then([removed(1)]);
        admins([added(1), added(2), removed(1)])
            .when(remove_user(2))
            .then_refused(Refusal::AccountIsLastAdmin(user(2)));
    }

    #[test]
    fn whoever_is_no_admin_can_be_removed_for_nothing() {
        admins([]).when(remove_user(1)).then_nothing();
        admins([added(2)]).when(remove_user(1)).then_nothing();
    }

    #[test]
    fn the_roles_that_ask_for_a_second_factor_are_changed_once() {
        let set = |roles: &[Role]| {
            let roles: BTreeSet<Role> = roles.iter().copied().collect();
            move |admins: Option<&Admins>| Ok::<_, Refusal>(set_second_factor_roles(admins, &roles))
        };
        let changed = |roles: &[Role]| {
            let roles = roles.iter().copied().collect();
            AdminsEvent::from(SecondFactorRolesChanged { roles })
        };
        let both = [Role::Auditor, Role::Admin];
        admins([added(1)]).when(set(&both)).then([changed(&both)]);
        admins([added(1), changed(&both)]).when(set(&both)).then_nothing();
        admins([added(1), changed(&both)])
            .when(set(&[]))
            .then([changed(&[])]);
        admins([]).when(set(&[])).then_nothing();
    }

    fn account(events: &[AccountEvent]) -> Account {
        let registered = AccountRegistered {
            email: "ada@example.com".into(),
            display_name: None,
            password_hash: "hash".into(),
        };
        let history = std::iter::once(registered.into()).chain(events.iter().cloned());
        given::<Account>(user(1), history).state().unwrap().clone()
    }

    #[test]
    fn the_admins_stream_outweighs_the_accounts_own() {
        let roles = BTreeSet::from([Role::User, Role::Admin]);
        let changed = RolesChanged {
            roles,
            ..RolesChanged::default()
        };
        let claimed = account(&[changed.into()]);
        assert!(
            !effective(claimed.clone(), admins([added(2)]).state())
                .roles
                .contains(&Role::Admin)
        );
        assert!(
            effective(claimed, admins([added(1)]).state())
                .roles
                .contains(&Role::Admin)
        );
        let disabled = account(&[AccountDisabled::default().into()]);
        assert!(effective(disabled.clone(), admins([added(1)]).state()).is_live());
        assert!(!effective(disabled, admins([added(2)]).state()).is_live());
    }

    proptest! {
        /// Whatever is decided in whatever order, once there is an admin there always is one.
        #[test]
        fn somebody_is_always_left(steps in prop::collection::vec((any::<bool>(), 0_u128..4), 0..60)) {
            let mut log = vec![added(0)];
            for (adds, number) in steps {
                let before = admins(log.clone());
                let events = if adds { add_user(number)(before.state()) } else { remove_user(number)(before.state()) };
                log.extend(events.unwrap_or_default());
                prop_assert!(!admins(log.clone()).state().unwrap().accounts.is_empty());
            }
        }
    }
}
