//! Who the admins are, and which roles need a second factor. Both are in one stream: only one stream can guarantee
//! that an admin is left, and every check of a token reads it anyway.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Aggregate, Role, StreamName, Timestamp, UserId, codec::catalog};

catalog! {
    /// An event of the stream of the admins.
    AdminsEvent {
        Added(AdminAdded) = "admins.added", 1;
        Removed(AdminRemoved) = "admins.removed", 1;
        SecondFactorRolesChanged(SecondFactorRolesChanged) = "admins.second_factor_roles_changed", 1;
    }
}

/// The account became an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminAdded {
    /// The account that is an admin or was one.
    pub account: UserId,
}

/// The account is no longer an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminRemoved {
    /// The account that is an admin or was one.
    pub account: UserId,
}

/// From now on other roles are valid only in sessions with a second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorRolesChanged {
    /// All of them after the change.
    pub roles: BTreeSet<Role>,
}

/// The admins after some version of their stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admins {
    /// The accounts that are admins.
    pub accounts: BTreeSet<UserId>,
    /// The roles that are valid only in sessions with a second factor.
    pub second_factor_roles: BTreeSet<Role>,
    /// What is known again since the last record that cannot be read; `None` without such a record.
    pub since_unreadable: Option<KnownAgain>,
}

/// What the events after a record that cannot be read say. A newer release may read that record, and then has what
/// these events do not replace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownAgain {
    /// The accounts that were added or removed since.
    pub accounts: BTreeSet<UserId>,
    /// Whether the roles that need a second factor were set since.
    pub second_factor_roles: bool,
}

impl Admins {
    /// The state after a record that cannot be read, in which nobody has a right that it may have taken: it may have
    /// removed any admin, so nobody is one until they are added again, and it may have demanded a second factor of
    /// the roles that see what belongs to others. The role `user` stays as it was, so that people keep their tasks.
    #[must_use]
    pub fn after_unreadable(mut self) -> Self {
        self.accounts.clear();
        self.second_factor_roles.extend([Role::Auditor, Role::Admin]);
        self.since_unreadable = Some(KnownAgain::default());
        self
    }

    /// Whether a record that cannot be read may say something else of `account` than this state does.
    pub fn is_unknown(&self, account: UserId) -> bool {
        let known = self.since_unreadable.as_ref();
        known.is_some_and(|known| !known.accounts.contains(&account))
    }

    /// Whether a record that cannot be read has left the system without an admin, or with roles that need a second
    /// factor although nobody may have demanded it.
    pub fn are_to_be_named_again(&self) -> bool {
        let known = self.since_unreadable.as_ref();
        known.is_some_and(|known| self.accounts.is_empty() || !known.second_factor_roles)
    }
}

impl KnownAgain {
    fn learn(&mut self, event: &AdminsEvent) {
        match event {
            AdminsEvent::Added(AdminAdded { account }) | AdminsEvent::Removed(AdminRemoved { account }) => {
                self.accounts.insert(*account);
            }
            AdminsEvent::SecondFactorRolesChanged(_) => self.second_factor_roles = true,
        }
    }
}

impl Aggregate for Admins {
    type Id = ();
    type Event = AdminsEvent;

    fn stream((): &()) -> StreamName {
        StreamName::admins()
    }

    fn evolve(state: Option<Self>, (): &(), event: &AdminsEvent, _: u64, _: Timestamp) -> Option<Self> {
        let mut admins = state.unwrap_or_default();
        match event {
            AdminsEvent::Added(added) => {
                admins.accounts.insert(added.account);
            }
            AdminsEvent::Removed(removed) => {
                admins.accounts.remove(&removed.account);
            }
            AdminsEvent::SecondFactorRolesChanged(changed) => {
                admins.second_factor_roles.clone_from(&changed.roles);
            }
        }
        if let Some(known) = &mut admins.since_unreadable {
            known.learn(event);
        }
        Some(admins)
    }
}
