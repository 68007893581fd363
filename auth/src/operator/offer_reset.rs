//! Offers a reset of a password from the command line.

use events::{CorrelationId, UserId};

use super::Operator;
use crate::{
    command_metadata::CommandMetadata,
    reset_offer::{self, Reset},
};

impl Operator {
    /// Offers a reset of the password of the account `id`.
    ///
    /// # Errors
    /// A sentence: the account does not exist any more, the event store cannot be used.
    pub async fn reset(
        &self,
        id: UserId,
        removes_second_factor: bool,
        operation: CorrelationId,
    ) -> anyhow::Result<Reset> {
        let metadata = CommandMetadata::operator(operation);
        let (reset, _) = reset_offer::offer(&self.app, id, &metadata, removes_second_factor, None).await?;
        Ok(reset)
    }
}
