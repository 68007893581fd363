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
        false => remove(admins, account.id),
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

pub(super) fn contains(admins: Option<&Admins>, account: UserId) -> bool {
    admins.is_some_and(|admins| admins.accounts.contains(&account))
}

#[cfg(test)]
mod tests {
    use aggregate::testing::{Given, given};
    use events::{AccountDisabled, AccountErased, AccountEvent, AccountRegistered, RolesChanged};
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
        add_user_by(Actor::Operator, number)
    }

    fn add_user_by(
        actor: Actor,
        number: u128,
    ) -> impl FnOnce(Option<&Admins>) -> Result<Vec<AdminsEvent>, Refusal> {
        move |admins| add(admins, user(number), actor)
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
    fn only_an_admin_or_an_operator_adds_one() {
        admins([added(1)])
            .when(add_user_by(Actor::User(user(1)), 2))
            .then([added(2)]);
        for who in [1, 2] {
            admins([added(1), added(3), removed(1)])
                .when(add_user_by(Actor::User(user(who)), 2))
                .then_refused(Refusal::ActorIsNoAdmin);
        }
    }

    #[test]
    fn the_admins_follow_the_accounts_own_stream() {
        let admin = account(&[roles(&[Role::Admin])]);
        let disabled = account(&[roles(&[Role::Admin]), AccountDisabled::default().into()]);
        let erased = account(&[roles(&[Role::Admin]), AccountErased {}.into()]);
        let by = |account: &Account, gives| {
            let account = account.clone();
            move |admins: Option<&Admins>| follow(admins, &account, gives, Actor::Operator)
        };
        admins([added(2)]).when(by(&admin, true)).then([added(1)]);
        admins([added(2)]).when(by(&admin, false)).then_nothing();
        for gives in [false, true] {
            for no_admin in [&account(&[]), &disabled] {
                admins([added(2)]).when(by(no_admin, gives)).then_nothing();
                admins([added(1), added(2)])
                    .when(by(no_admin, gives))
                    .then([removed(1)]);
            }
            admins([added(1)]).when(by(&erased, gives)).then([removed(1)]);
        }
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

    fn roles(roles: &[Role]) -> AccountEvent {
        RolesChanged {
            roles: roles.iter().copied().collect(),
            ..RolesChanged::default()
        }
        .into()
    }

    #[test]
    fn the_admins_stream_outweighs_the_accounts_own() {
        let claimed = account(&[roles(&[Role::User, Role::Admin])]);
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
