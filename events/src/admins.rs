//! Who the admins are: one stream for all of them, because only one stream can promise that somebody is left.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Aggregate, StreamName, Timestamp, UserId, codec::catalog};

catalog! {
    /// What can happen to the circle of admins.
    AdminsEvent {
        Added(AdminAdded) = "admins.added", 1;
        Removed(AdminRemoved) = "admins.removed", 1;
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

/// The admins after some version of their stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admins {
    /// The accounts that are admins.
    pub accounts: BTreeSet<UserId>,
}

impl Admins {
    /// The admins after `event`. Total.
    #[must_use]
    pub fn evolve(mut self, event: &AdminsEvent) -> Self {
        match event {
            AdminsEvent::Added(added) => self.accounts.insert(added.account),
            AdminsEvent::Removed(removed) => self.accounts.remove(&removed.account),
        };
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
