//! Gives an account a role from the command line: how the first admin comes to be.

use std::collections::BTreeSet;

use events::{CorrelationId, Role, UserId};

use super::Operator;
use crate::{command_metadata::CommandMetadata, last_admin};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub user_id: UserId,
    /// Their roles now.
    pub roles: BTreeSet<Role>,
    /// False when they had the role already.
    pub changed: bool,
}

impl Operator {
    /// Gives the account `id` the role `role`.
    ///
    /// # Errors
    /// A sentence: the account is not there any more, the event store cannot be used.
    pub async fn grant(&self, id: UserId, role: Role, operation: CorrelationId) -> anyhow::Result<Granted> {
        let metadata = CommandMetadata::operator(operation);
        let changed = last_admin::grant(&self.auth, id, &metadata, role).await?;
        Ok(Granted {
            user_id: id,
            roles: changed.account.roles,
            changed: changed.happened,
        })
    }
}
