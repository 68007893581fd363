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
}

impl Admins {
    /// The state after `event`. Defined for every event.
    #[must_use]
    pub fn evolve(mut self, event: &AdminsEvent) -> Self {
        match event {
            AdminsEvent::Added(added) => {
                self.accounts.insert(added.account);
            }
            AdminsEvent::Removed(removed) => {
                self.accounts.remove(&removed.account);
            }
            AdminsEvent::SecondFactorRolesChanged(changed) => {
                self.second_factor_roles.clone_from(&changed.roles);
            }
        }
        self
    }
}

impl Aggregate for Admins {
    type Id = ();
    type Event = AdminsEvent;

    fn stream((): &()) -> StreamName {
        StreamName::admins()
    }

    fn evolve(state: Option<Self>, (): &(), event: &AdminsEvent, _: u64, _: Timestamp) -> Option<Self> {
        Some(state.unwrap_or_default().evolve(event))
    }
}
