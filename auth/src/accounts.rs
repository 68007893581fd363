//! Loads and changes accounts, with what the admins' own stream says about each.
//!
//! The functions with `impersonal` in their name also work while the key of the person is damaged or lost. They read
//! the account without personal data then, so they are for decisions that need none.

use std::{ops::ControlFlow, sync::Arc};

use aggregate::{Executed, Loaded, Repository, RepositoryError};
use event_store::EventStore;
use events::{Account, AccountEvent, Admins, AdminsEvent, SessionId, TokenId, UserId};
use prometheus::IntGauge;
use runtime::Clock;

use crate::{
    account_snapshots::AccountSnapshots,
    aggregates::repository,
    command_metadata::CommandMetadata,
    domain::{Claim, Refusal, admins::effective},
    error::{CommandError, Failure},
    keys::EmailKey,
};

/// The streams of accounts, of the admins, and of the claims on addresses.
pub(crate) struct Accounts {
    /// The accounts as their own streams have them.
    own_streams: Repository<Account>,
    impersonal: Repository<Account>,
    pub(crate) admins: Repository<Admins>,
    admins_to_name: IntGauge,
    pub(crate) claims: Repository<Claim>,
    store: Arc<dyn EventStore>,
}

/// An account after a command.
pub(crate) struct Changed {
    pub(crate) account: Account,
    /// The position in the log of the last event about it.
    pub(crate) position: u64,
    /// Whether anything happened.
    pub(crate) happened: bool,
    /// The sessions that this has closed.
    pub(crate) closed: Vec<SessionId>,
}

impl Accounts {
    pub(crate) fn new(
        store: Arc<dyn EventStore>,
        clock: &Arc<dyn Clock>,
        snapshots: AccountSnapshots,
        admins_to_name: IntGauge,
    ) -> Self {
        Self {
            own_streams: repository(&store, clock).with_snapshots(Arc::new(snapshots)),
            impersonal: repository(&store, clock).impersonal(),
            // Nothing in these two is personal, and one person's key must not be in everybody's way.
            admins: repository(&store, clock)
                .impersonal()
                .tolerant(|admins: Option<Admins>| admins.unwrap_or_default().after_unreadable()),
            admins_to_name,
            claims: repository(&store, clock).impersonal(),
            store,
        }
    }

    /// The account that registered an address, unless it has been erased; impersonal.
    pub(crate) async fn registered_with(&self, email: &EmailKey) -> Result<Option<Account>, Failure> {
        let claim = self.claims.load(email).await?;
        let Some(holder) = claim.state.and_then(|claim| claim.holder) else {
            return Ok(None);
        };
        let account = self.load_impersonal(holder).await?.state;
        Ok(account.filter(|account| !account.erased))
    }

    /// The admins. If a record of their stream cannot be read, nobody has a right that it may have taken.
    pub(crate) async fn admins(&self) -> Result<Admins, RepositoryError> {
        let admins = self.admins.load(&()).await?.state.unwrap_or_default();
        self.admins_to_name.set(admins.are_to_be_named_again().into());
        Ok(admins)
    }

    pub(crate) async fn load(&self, id: UserId) -> Result<Loaded<Account>, Failure> {
        Ok(self.load_with_admins(id).await?.0)
    }

    /// The account `id`, without personal data if its key cannot be used.
    pub(crate) async fn load_impersonal(&self, id: UserId) -> Result<Loaded<Account>, Failure> {
        Ok(self.load_impersonal_with_admins(id).await?.0)
    }

    /// The account `id`, and the admins at the same time.
    pub(crate) async fn load_with_admins(&self, id: UserId) -> Result<(Loaded<Account>, Admins), Failure> {
        self.load_from(&self.own_streams, id).await
    }

    /// The account `id`, without personal data if its key cannot be used, and the admins at the same time.
    pub(crate) async fn load_impersonal_with_admins(
        &self,
        id: UserId,
    ) -> Result<(Loaded<Account>, Admins), Failure> {
        match self.load_with_admins(id).await {
            Err(failure) if failure.is_unusable_key() => self.load_from(&self.impersonal, id).await,
            other => other,
        }
    }

    async fn load_from(
        &self,
        accounts: &Repository<Account>,
        id: UserId,
    ) -> Result<(Loaded<Account>, Admins), Failure> {
        let (mut account, admins) = futures::try_join!(accounts.load(&id), self.admins())?;
        account.state = account.state.map(|account| effective(account, Some(&admins)));
        Ok((account, admins))
    }

    /// The account `id` as its own stream has it, whatever the admins' stream says.
    pub(crate) async fn load_own_stream(&self, id: UserId) -> Result<Option<Account>, RepositoryError> {
        Ok(self.own_streams.load(&id).await?.state)
    }

    /// Decides about the account `id` and appends the events.
    pub(crate) async fn change(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<Changed, CommandError> {
        let admins = self.admins().await?;
        let effective = |account| effective(account, Some(&admins));
        change_in(&self.own_streams, id, metadata, effective, decide).await
    }

    /// As [`Self::change`], also while the key of the account cannot be used.
    pub(crate) async fn change_impersonal(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        mut decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<Changed, CommandError> {
        match self.change(id, metadata, &mut decide).await {
            Err(CommandError::Failed(failure)) if failure.is_unusable_key() => {
                let admins = self.admins().await?;
                let effective = |account| effective(account, Some(&admins));
                change_in(&self.impersonal, id, metadata, effective, decide).await
            }
            other => other,
        }
    }

    /// As [`Self::change`], on the account as its own stream has it, whatever the admins' stream says.
    pub(crate) async fn change_own_stream(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    ) -> Result<Changed, CommandError> {
        change_in(&self.own_streams, id, metadata, |account| account, decide).await
    }

    /// Decides whether the account `id` is an admin, and appends the events.
    pub(crate) async fn change_admins(
        &self,
        id: UserId,
        metadata: &CommandMetadata,
        mut decide: impl FnMut(Option<&Admins>) -> Result<Vec<AdminsEvent>, Refusal>,
    ) -> Result<Executed<Admins>, CommandError> {
        let decide = |admins: Option<&Admins>, _| decide(admins);
        Ok(self.admins.execute(&(), &metadata.about(id), decide).await?)
    }

    /// Whether the account `id` ever had the program token `token`. Reads its stream from the beginning, which takes as
    /// long as the stream is.
    pub(crate) async fn ever_had(&self, id: UserId, token: TokenId) -> Result<bool, Failure> {
        let mut had = false;
        let look = |_: &_, loaded: &Loaded<Account>| {
            let mut tokens = loaded.state.iter().flat_map(|account| &account.program_tokens);
            had = tokens.any(|known| known.id == token);
            match had {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        self.impersonal.fold(&id, Loaded::default(), look).await?;
        Ok(had)
    }

    /// A position in the log that is not before any event about an account. A command that found everything done
    /// already answers with it, because whoever did it may have appended to more streams than the one that was read.
    pub(crate) async fn newest_position(&self) -> Result<u64, Failure> {
        Ok(self.store.head().await?)
    }
}

async fn change_in(
    accounts: &Repository<Account>,
    id: UserId,
    metadata: &CommandMetadata,
    effective: impl Fn(Account) -> Account,
    mut decide: impl FnMut(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
) -> Result<Changed, CommandError> {
    let mut open = Vec::new();
    let done = accounts
        .execute(&id, &metadata.about(id), |account, _| {
            let account = account.cloned().map(&effective);
            let events = decide(account.as_ref())?;
            open = account.map(|before| before.open_sessions).unwrap_or_default();
            Ok::<_, Refusal>(events)
        })
        .await?;
    let account = effective(done.state.ok_or(Refusal::AccountIsUnknown)?);
    open.retain(|session| !account.open_sessions.contains(session));
    Ok(Changed { closed: open, account, position: done.position, happened: done.changed })
}
