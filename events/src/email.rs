//! The claim on an e-mail address: which account has it, if any.

use serde::{Deserialize, Serialize};

use crate::{UserId, codec::catalog};

catalog! {
    /// An event of an e-mail address.
    EmailEvent {
        Claimed(EmailClaimed) = "email.claimed", 1;
        Released(EmailReleased) = "email.released", 1;
    }
}

/// An account took the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailClaimed {
    /// The account that has claimed the address.
    pub account: UserId,
}

/// The address is free again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailReleased {}

impl EmailEvent {
    /// The account that has the address after this event.
    pub const fn holder(&self) -> Option<UserId> {
        match self {
            Self::Claimed(claimed) => Some(claimed.account),
            Self::Released(_) => None,
        }
    }
}
