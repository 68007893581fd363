//! Decisions about who the admins are, and what being one means for an account.
//!
//! The stream `admins` is the truth: whoever is in it is an admin and can use their account, also while events of the
//! account's own stream that follow from it are still missing. So somebody is left whenever that stream names somebody,
//! and only its last name can never be taken away.

use events::{Account, AdminAdded, AdminRemoved, Admins, AdminsEvent, Role, UserId};

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

/// `account` as it counts: its roles and whether it can be used, with what the stream `admins` says about it.
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
    use std::collections::BTreeSet;

    use events::{AccountDisabled, AccountEvent, AccountRegistered, RolesChanged, Timestamp};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn given(events: &[AdminsEvent]) -> Option<Admins> {
        events.iter().fold(None, |admins: Option<Admins>, event| {
            Some(admins.unwrap_or_default().evolve(event))
        })
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
        assert_eq!(add(given(&[]).as_ref(), user(1)), vec![added(1)]);
        assert_eq!(add(given(&[added(1)]).as_ref(), user(1)), vec![]);
        assert_eq!(
            add(given(&[added(1), added(2), removed(1)]).as_ref(), user(1)),
            vec![added(1)]
        );
    }

    #[test]
    fn the_last_admin_stays() {
        assert_eq!(
            remove(given(&[added(1), added(2)]).as_ref(), user(1)),
            Ok(vec![removed(1)])
        );
        let last = Err(Refusal::AccountIsLastAdmin(user(2)));
        assert_eq!(
            remove(given(&[added(1), added(2), removed(1)]).as_ref(), user(2)),
            last
        );
    }

    #[test]
    fn whoever_is_no_admin_can_be_removed_for_nothing() {
        assert_eq!(remove(None, user(1)), Ok(vec![]));
        assert_eq!(remove(given(&[added(2)]).as_ref(), user(1)), Ok(vec![]));
    }

    fn account(events: &[AccountEvent]) -> Account {
        let registered = AccountRegistered {
            email: "ada@example.com".into(),
            display_name: None,
            password_hash: "hash".into(),
        };
        let stream = std::iter::once(AccountEvent::from(registered)).chain(events.iter().cloned());
        (1..)
            .zip(stream)
            .fold(None, |state, (version, event)| {
                Account::evolve(state, user(1), &event, version, Timestamp::from_micros(0))
            })
            .unwrap()
    }

    #[test]
    fn the_admins_stream_outweighs_the_accounts_own() {
        let roles = BTreeSet::from([Role::User, Role::Admin]);
        let claimed = account(&[RolesChanged { roles }.into()]);
        assert!(
            !effective(claimed.clone(), given(&[added(2)]).as_ref())
                .roles
                .contains(&Role::Admin)
        );
        assert!(
            effective(claimed, given(&[added(1)]).as_ref())
                .roles
                .contains(&Role::Admin)
        );
        let disabled = account(&[AccountDisabled {}.into()]);
        assert!(effective(disabled.clone(), given(&[added(1)]).as_ref()).is_live());
        assert!(!effective(disabled, given(&[added(2)]).as_ref()).is_live());
    }

    proptest! {
        /// Whatever is decided in whatever order, once there is an admin there always is one.
        #[test]
        fn somebody_is_always_left(steps in prop::collection::vec((any::<bool>(), 0_u128..4), 0..60)) {
            let mut log = vec![added(0)];
            for (adds, number) in steps {
                let admins = given(&log);
                let events = if adds { Ok(add(admins.as_ref(), user(number))) } else { remove(admins.as_ref(), user(number)) };
                log.extend(events.unwrap_or_default());
                prop_assert!(!given(&log).unwrap().accounts.is_empty());
            }
        }
    }
}
