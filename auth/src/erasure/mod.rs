//! Erases a person. The event `account.erased` in the account's stream decides. Its consequences can be repeated, and
//! are repeated until they are complete: by the request itself, or by any auth process that reads the pending
//! erasures.

mod finishing;
mod leftovers;
mod operations;
mod pending;
mod replaying;
mod unreadable;

use std::fmt;

use event_store::StoreError;
use events::{
    Account, AccountErased, AccountEvent, Actor, EmailAddress, EndReason, Event, EventId, OperationEvent,
    OperationFinished, OperationId, OperationOutcome, RecordedEvent, StreamName, Timestamp, UserId,
};

pub(crate) use finishing::finish_pending_erasures;
pub(crate) use leftovers::erase_leftovers;
pub(crate) use replaying::{replay_erasures, replay_new_erasures};

use crate::{
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::{CommandError, Failure},
    last_admin,
};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Erasure {
    /// The position in the log of the last event about the person.
    pub(crate) position: u64,
    pub(crate) receipt: Option<Receipt>,
}

/// The place where an erasure can be proved, with the id of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    position: u64,
    event: EventId,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/audit/proof?position={}&id={}", self.position, self.event)
    }
}

impl App {
    /// Erases the person `id` as `decide` says, with all consequences.
    ///
    /// # Errors
    /// The refusals of `decide`, and [`Refusal::AccountIsLastAdmin`] unless the person was erased before; then
    /// nothing was done. After any other error the person may be erased, and the rest is completed later.
    pub(crate) async fn erase(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        decide: impl Fn(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<Erasure, CommandError> {
        // Recorded first, so that an erasure is never left incomplete.
        pending::begin(&self.operations, id, metadata.operation(), self.clock.now()).await?;
        self.give_up_unusable_key(id).await?;
        if self.is_key_destroyed(id).await? {
            last_admin::leave_erased(self, id, metadata).await?;
        }
        let changed = last_admin::erase(self, id, metadata, decide).await?;
        let receipt = self.receipt(id).await;
        let ended = self.sessions.end_closed(&changed, EndReason::Erased, metadata).await;
        let followed = self.finish_erasure(id, metadata).await?;
        Ok(Erasure { position: ended.max(followed), receipt })
    }

    /// The receipt of the erasure of `id`, even if another request erased them first: it is for the last event of
    /// their account. They are erased, even if the receipt cannot be found.
    async fn receipt(&self, id: UserId) -> Option<Receipt> {
        match self.erased_event(id).await {
            Ok(erased) => erased.map(|erased| Receipt { position: erased.position, event: erased.id }),
            Err(error) => {
                tracing::warn!(%error, account.id = %id, "it cannot be told where the receipt of an erasure is");
                None
            }
        }
    }

    /// The event that erased the person `id`, which is the last one of their account.
    async fn erased_event(&self, id: UserId) -> Result<Option<RecordedEvent>, StoreError> {
        let stream = StreamName::account(id);
        let Some(head) = self.store.stream_head(&stream).await? else {
            return Ok(None);
        };
        let last = self.store.read_stream(&stream, head.version - 1, 1).await?.pop();
        Ok(last.filter(|event| AccountErased::has_kind(&event.kind)))
    }

    /// Records the end of an operator's command that erased the person `id`, if the command was killed before it
    /// could do so.
    pub(super) async fn conclude_operation(&self, id: UserId) -> Result<(), CommandError> {
        let erased = self.erased_event(id).await?;
        let operation = erased
            .filter(|event| event.metadata.actor == Actor::Operator)
            .and_then(|event| event.metadata.correlation_id.parse().ok());
        let Some(operation) = operation else { return Ok(()) };
        let stream = StreamName::operation(OperationId(operation));
        let finished = OperationEvent::from(OperationFinished {
            outcome: OperationOutcome::Succeeded,
            result: Some("broken off, and finished by auth".into()),
        });
        let metadata = CommandMetadata::of_operation(operation).about(id);
        let append = aggregate::Append {
            stream: &stream,
            expected_version: 1,
            not_before: Timestamp::MIN,
            events: &[finished],
            metadata: &metadata,
        };
        // A conflict means that the command has recorded its end, or was never recorded.
        aggregate::append(&*self.store, &*self.clock, append).await?;
        Ok(())
    }

    /// Destroys a damaged or lost key of the person `id`, who is about to be erased, so that the log can be read with
    /// placeholders.
    ///
    /// # Errors
    /// [`Refusal::AccountIsLastAdmin`]: then nothing was done, because their key may still be in a backup.
    async fn give_up_unusable_key(&self, id: UserId) -> Result<(), CommandError> {
        // Their first event, which has their address. It may be plain, of a time when nothing was sealed, and later
        // ones sealed.
        let is_unusable = match self.store.read_stream(&StreamName::account(id), 0, 1).await {
            Err(StoreError::KeyUnusable(_)) => true,
            other => {
                other?;
                let whole = self.accounts.load(id).await;
                whole.is_err_and(|failure| failure.is_unusable_key())
            }
        };
        if !is_unusable {
            return Ok(());
        }
        last_admin::leave(self, id, &CommandMetadata::system()).await?;
        self.destroy_key(id).await?;
        tracing::warn!(account.id = %id, "a key that could not be used was destroyed, since its person is being erased");
        Ok(())
    }

    /// Erases the person `id`, with `metadata`, if their key was destroyed, which happens only in an erasure. Returns
    /// whether they are erased.
    pub(super) async fn erase_if_key_is_destroyed(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
    ) -> Result<bool, CommandError> {
        if !self.is_key_destroyed(id).await? {
            return Ok(false);
        }
        last_admin::leave_erased(self, id, metadata).await?;
        match last_admin::erase(self, id, metadata, domain::account::erase).await {
            Err(CommandError::Failed(failure)) if failure.is_unreadable() => {
                self.erase_unread(id, metadata).await?;
            }
            changed => {
                self.sessions.end_closed(&changed?, EndReason::Erased, metadata).await;
            }
        }
        Ok(true)
    }

    /// Whether the key of the person `id` was destroyed. Then they were erased, even if the log was restored to an
    /// earlier time.
    async fn is_key_destroyed(&self, id: UserId) -> Result<bool, Failure> {
        Ok(self.subject_keys.is_destroyed(id).await?)
    }

    async fn destroy_key(&self, id: UserId) -> Result<(), Failure> {
        Ok(self.subject_keys.destroy(id).await?)
    }

    /// Completes the consequences of the erasure of the person `id`, who must be erased. Returns the position of the
    /// last event that this wrote, or 0.
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
        let left = last_admin::leave_erased(self, id, &metadata).await?;
        position = position.max(left.unwrap_or_default());
        self.throttle.erase(&self.pepper, id, email.as_ref()).await?;
        operations::forget_commands(&self.operations, id).await?;
        // Done last, because the address cannot be read afterwards.
        self.destroy_key(id).await?;
        Ok(position)
    }

    /// Releases the address of the erased person `id`, so that others can register it.
    pub(crate) async fn release_address(
        &self,
        email: &EmailAddress,
        id: UserId,
        metadata: &CommandMetadata,
    ) -> Result<u64, CommandError> {
        let key = self.pepper.key_of(email);
        let decide = |claim: Option<&domain::Claim>, _| Ok::<_, Refusal>(domain::claim::release(claim, id));
        let done = self.accounts.claims.execute(&key, &metadata.about(id), decide).await?;
        Ok(if done.changed { done.position } else { 0 })
    }

    /// The address that the person `id` registered, from the log, which is its only source after the erasure; `None`
    /// when the log does not have it any more. Then the next registration of the address releases it.
    pub(crate) async fn registered_address(&self, id: UserId) -> Result<Option<EmailAddress>, CommandError> {
        let first = match self.store.read_stream(&StreamName::account(id), 0, 1).await {
            Err(StoreError::KeyUnusable(_) | StoreError::Corrupt(_)) => return Ok(None),
            other => other?,
        };
        let registered = match first.first().map(Event::try_from) {
            Some(Ok(Event::Account(AccountEvent::Registered(registered)))) => registered,
            _ => return Ok(None),
        };
        Ok(EmailAddress::parse(&registered.email).ok())
    }
}
