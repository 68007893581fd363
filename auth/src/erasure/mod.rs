//! Erases a person. `account.erased`, in the account's stream, is the one fact. What follows from it can be repeated, and is
//! repeated until it is done, by whoever finds it missing: the request itself, or any auth that looks at the erasures that
//! have begun.

mod finishing;
mod pending;

use aggregate::RepositoryError;
use events::{Account, AccountEvent, EmailAddress, EndReason, Event, StreamName, UserId};

pub(crate) use finishing::finish_what_has_begun;

use crate::{
    auth::Auth,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{CommandError, Failure},
    last_admin,
};

impl Auth {
    /// Erases the person `id` as `decide` says, with everything that follows from it. Returns the position in the log of the
    /// last event about them.
    ///
    /// # Errors
    /// What `decide` says, and [`Refusal::AccountIsLastAdmin`]: then nothing was done. Otherwise when something underneath
    /// fails: then the person may be erased, and the rest follows by itself.
    pub(crate) async fn erase(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        decide: impl Fn(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<u64, CommandError> {
        // First, so that nobody is erased by halves and then forgotten.
        pending::begin(&self.operations, id, self.clock.now())
            .await
            .map_err(Failure::Operations)?;
        let changed = last_admin::erase(self, id, metadata, decide).await?;
        let ended = self
            .end_closed_sessions(&changed, EndReason::Erased, metadata)
            .await;
        let followed = self.finish_erasure(id, metadata).await?;
        Ok(ended.max(followed))
    }

    /// Does what follows from the erasure of the person `id`, who must be erased, and is not done yet. Returns the position in
    /// the log of the last event that it led to, or 0.
    pub(crate) async fn finish_erasure(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
    ) -> Result<u64, CommandError> {
        let metadata = metadata.by_system();
        let email = self.registered_address(id).await?;
        let mut position = 0;
        if let Some(email) = &email {
            position = self.release_address(email, id, &metadata).await?;
        }
        match last_admin::leave_erased(self, id, &metadata).await {
            Ok(left) => position = position.max(left.unwrap_or_default()),
            Err(CommandError::Refused(refusal)) => {
                tracing::error!(account.id = %id, %refusal, "a person who was erased is still among the admins");
            }
            Err(error) => return Err(error),
        }
        self.throttle.erase(&self.pepper, id, email.as_ref()).await?;
        erasure::forget_commands(&self.operations, id)
            .await
            .map_err(Failure::Operations)?;
        // Last, since the log does not know the address any more then.
        self.subject_keys
            .destroy(id)
            .await
            .map_err(Failure::SubjectKeys)?;
        Ok(position)
    }

    /// Lets others register the address that the erased person `id` held.
    pub(crate) async fn release_address(
        &self,
        email: &EmailAddress,
        id: UserId,
        metadata: &CommandMetadata,
    ) -> Result<u64, CommandError> {
        let key = self.pepper.key_of(email);
        let decide = |claim: Option<&domain::Claim>, _| Ok::<_, Refusal>(domain::claim::release(claim, id));
        let done = self.claims.execute(&key, &metadata.about(id), decide).await?;
        Ok(if done.changed { done.position } else { 0 })
    }

    /// The address that the person `id` registered, as the log says, which is all that still knows it once they are erased;
    /// `None` when the log does not know it any more either.
    async fn registered_address(&self, id: UserId) -> Result<Option<EmailAddress>, CommandError> {
        let first = self
            .store
            .read_stream(&StreamName::account(id), 0, 1)
            .await
            .map_err(RepositoryError::Store)?;
        let registered = match first.first().map(Event::try_from) {
            Some(Ok(Event::Account(AccountEvent::Registered(registered)))) => registered,
            _ => return Ok(None),
        };
        Ok(EmailAddress::parse(&registered.email).ok())
    }
}
