//! Revokes all program tokens of an account from the command line.

use events::{CorrelationId, UserId};

use super::Operator;
use crate::{command_metadata::CommandMetadata, program_tokens::revoke_all};

impl Operator {
    /// Revokes all program tokens of the account `id`, and returns how many there were. Sessions stay.
    ///
    /// # Errors
    /// A sentence: the account does not exist any more, the event store cannot be used.
    pub async fn revoke_tokens(&self, id: UserId, operation: CorrelationId) -> anyhow::Result<usize> {
        let (_, revoked) = revoke_all(&self.app, id, &CommandMetadata::operator(operation)).await?;
        Ok(revoked)
    }
}
