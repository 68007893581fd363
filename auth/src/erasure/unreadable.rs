//! Erases people whose account has a record that this build cannot read, so that nothing can be decided about it.

use aggregate::{Append, Appended, RepositoryError};
use auth_client::{Rejection, Revocation, messages::Verdict};
use event_store::StoreError;
use events::{AccountErased, AccountEvent, StreamName, Timestamp, UserId};

use super::Erasure;
use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{CommandError, Failure},
    last_admin,
};

impl App {
    /// Whether the person of the account `id` was erased; `None` if there is no such account. Where this build cannot
    /// read the account, its last event says it.
    pub(crate) async fn is_erased(&self, id: UserId) -> Result<Option<bool>, Failure> {
        match self.accounts.load_impersonal(id).await {
            Err(failure) if failure.is_unreadable() => match self.erased_event(id).await {
                Ok(erased) => Ok(Some(erased.is_some())),
                Err(StoreError::Corrupt(_) | StoreError::KeyUnusable(_)) => Ok(Some(false)),
                Err(error) => Err(error.into()),
            },
            other => Ok(other?.state.map(|account| account.erased)),
        }
    }

    /// What a token of the person `id` is worth whose account could not be loaded because of `failure`: nothing if they
    /// were erased although it cannot be read.
    pub(crate) async fn unless_erased(&self, id: UserId, failure: Failure) -> Result<Verdict, Failure> {
        match self.is_erased_unread(id, &failure).await {
            true => Ok(Verdict::Rejected(Rejection::SessionEnded)),
            false => Err(failure),
        }
    }

    /// Whether the account `id` could not be loaded because of a record that cannot be read, and its last event is the
    /// erasure.
    pub(crate) async fn is_erased_unread(&self, id: UserId, failure: &Failure) -> bool {
        failure.is_unreadable() && matches!(self.erased_event(id).await, Ok(Some(_)))
    }

    /// Erases the person `id` for an operator, with all consequences, also where this build cannot read the account.
    pub(crate) async fn erase_for_operator(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
    ) -> Result<Erasure, CommandError> {
        match self.erase(id, metadata, domain::account::erase).await {
            Err(CommandError::Failed(failure)) if failure.is_unreadable() => {
                // What cannot be read may also be something else, after the account was erased.
                self.erase_unread(id, metadata).await?;
                let receipt = self.receipt(id).await;
                let position = self.finish_erasure(id, metadata).await?;
                Ok(Erasure { position, receipt })
            }
            other => other,
        }
    }

    /// Appends the erasure of the person `id` to their account without reading it, unless its last event is that. Its
    /// sessions are not known, and nothing depends on what their own streams say.
    ///
    /// # Errors
    /// [`Refusal::AccountIsLastAdmin`], unless their key is destroyed: then they were erased before. Also when another
    /// command has changed the account meanwhile.
    pub(super) async fn erase_unread(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
    ) -> Result<(), CommandError> {
        let stream = StreamName::account(id);
        let head = self.store.stream_head(&stream).await?;
        // Read after the head: whoever erases them from now on makes the append fail.
        match self.erased_event(id).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) | Err(StoreError::Corrupt(_) | StoreError::KeyUnusable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let head = head.ok_or(Refusal::AccountIsUnknown)?;
        if !self.is_key_destroyed(id).await? {
            last_admin::leave(self, id, metadata).await?;
        }
        let append = Append {
            stream: &stream,
            expected_version: head.version,
            not_before: Timestamp::MIN,
            events: &[AccountEvent::from(AccountErased {})],
            metadata: &metadata.about(id),
        };
        let appended = aggregate::append(&*self.store, &*self.clock, append).await?;
        if let Appended::Conflict { .. } = appended {
            let conflicts = 1;
            return Err(RepositoryError::Contended { stream, conflicts }.into());
        }
        tracing::warn!(account.id = %id, "a person was erased whose account this build cannot read");
        self.revocations.broadcast(Revocation::Account(id)).await;
        Ok(())
    }
}
