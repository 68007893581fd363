//! Erases a person from the command line, for an operator who is asked to.

use anyhow::bail;
use events::{CorrelationId, UserId};

use super::Operator;
use crate::{command_metadata::CommandMetadata, domain, erasure::Receipt};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Whose account it was.
    pub user_id: UserId,
    /// False when they were erased before, and only what follows from it was missing.
    pub changed: bool,
    /// Where it is proved, if they were erased now.
    pub receipt: Option<Receipt>,
}

impl Operator {
    /// Erases the person `id`, whose key may be damaged or lost; of one who was erased it does what follows from it and is not
    /// done yet.
    ///
    /// # Errors
    /// A sentence: nobody has this account, it is the last admin's, the event store or a database cannot be used.
    pub async fn erase(&self, id: UserId, operation: CorrelationId) -> anyhow::Result<Erased> {
        let metadata = CommandMetadata::operator(operation);
        let Some(account) = self.auth.impersonal_account(id).await?.state else {
            bail!("there is no account {id}")
        };
        let mut receipt = None;
        if account.erased {
            self.auth.finish_erasure(id, &metadata).await?;
        } else {
            let erasure = self.auth.erase(id, &metadata, domain::account::erase).await?;
            receipt = erasure.receipt;
        }
        Ok(Erased {
            user_id: id,
            changed: !account.erased,
            receipt,
        })
    }
}
