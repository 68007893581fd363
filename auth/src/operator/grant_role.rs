//! Gives an account a role from the command line. So the first admin is made.

use std::collections::BTreeSet;

use events::{CorrelationId, Role, UserId};

use super::Operator;
use crate::{command_metadata::CommandMetadata, last_admin};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub user_id: UserId,
    pub roles: BTreeSet<Role>,
    /// False when the account had the role already.
    pub changed: bool,
}

impl Operator {
    /// Gives the account `id` the role `role`.
    ///
    /// # Errors
    /// A sentence: the account does not exist any more, the event store cannot be used.
    pub async fn grant(&self, id: UserId, role: Role, operation: CorrelationId) -> anyhow::Result<Granted> {
        let metadata = CommandMetadata::operator(operation);
        let changed = last_admin::grant(&self.app, id, &metadata, role).await?;
        Ok(Granted { user_id: id, roles: changed.account.roles, changed: changed.happened })
    }
}
