//! Erases a person from the command line.

use anyhow::bail;
use events::{CorrelationId, UserId};

use super::Operator;
use crate::{command_metadata::CommandMetadata, erasure::Receipt};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    pub user_id: UserId,
    /// False when they were erased before, and only consequences were missing.
    pub changed: bool,
    /// The receipt, if they were erased now.
    pub receipt: Option<Receipt>,
}

impl Operator {
    /// Erases the person `id`, whose key may be damaged or lost, and whose account may be unreadable. For a person who
    /// was erased before, completes the consequences.
    ///
    /// # Errors
    /// A sentence: there is no such account, it is the last admin's, the event store or a database cannot be used.
    pub async fn erase(&self, id: UserId, operation: CorrelationId) -> anyhow::Result<Erased> {
        let metadata = CommandMetadata::operator(operation);
        let Some(is_erased) = self.app.is_erased(id).await? else { bail!("there is no account {id}") };
        let mut receipt = None;
        if is_erased {
            self.app.finish_erasure(id, &metadata).await?;
        } else {
            let erasure = self.app.erase_for_operator(id, &metadata).await?;
            receipt = erasure.receipt;
        }
        Ok(Erased { user_id: id, changed: !is_erased, receipt })
    }
}
