//! Changes that add or remove an admin. An account that loses the role, or is disabled, first leaves the stream
//! `admins`, with an append that is refused for the last one. An account that gains the role enters that stream last.
//! An interrupted removal is completed by repeating the command, and an interrupted addition by giving the role.

use std::{collections::BTreeSet, time::Duration};

use auth_client::Revocation;
use events::{Account, AccountEvent, AdminReason, Admins, AdminsEvent, Role, UserId};
use http_api::SecurityEvent;

use crate::{
    accounts::Changed,
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{self, Refusal},
    error::CommandError,
};

/// How often the two streams are compared after a change, while other commands change the same account.
const ROUNDS: usize = 4;
/// Longer than a request takes between its two appends, even if the bus does not take its broadcast.
const BETWEEN_APPENDS: Duration = Duration::from_secs(2);

/// Replaces the roles of an account, unless this would remove the last admin, or add one while the actor is none any
/// more.
pub(crate) async fn set_roles(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    roles: &BTreeSet<Role>,
    reason: Option<&AdminReason>,
) -> Result<Changed, CommandError> {
    let removed = if roles.contains(&Role::Admin) {
        None
    } else {
        remove(app, id, metadata, domain::admins::revoke).await?
    };
    let mut before = None;
    let changed = app
        .accounts
        .change_own_stream(id, metadata, |account| {
            before = account.map(|account| account.roles.clone());
            domain::account::set_roles(account, roles, reason)
        })
        .await?;
    let before = before.filter(|_| changed.happened);
    let concluded = conclude(app, metadata, changed, removed, roles.contains(&Role::Admin)).await;
    if let Err(CommandError::Refused(Refusal::ActorIsNoAdmin)) = &concluded {
        take_back(app, id, &metadata.by_system(), roles, before.as_ref()).await?;
    }
    concluded
}

/// Gives an account the roles again that it had `before` a command that was refused in the end, and broadcasts that. It
/// keeps others that it got since, and also `written` if another command has made it an admin.
async fn take_back(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    written: &BTreeSet<Role>,
    before: Option<&BTreeSet<Role>>,
) -> Result<(), CommandError> {
    let admins = app.accounts.admins().await?;
    let before = before.filter(|_| !admins.accounts.contains(&id));
    let decide = |account: Option<&Account>| match (account, before) {
        (Some(account), Some(before)) if account.roles == *written => {
            domain::account::set_roles(Some(account), before, None)
        }
        _ => Ok(Vec::new()),
    };
    let changed = app.accounts.change_own_stream(id, metadata, decide).await?;
    conclude(app, metadata, changed, None, false).await?;
    Ok(())
}

/// Adds a role to an account.
pub(crate) async fn grant(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    role: Role,
) -> Result<Changed, CommandError> {
    let admins = app.accounts.admins().await?;
    let changed = app
        .accounts
        .change_own_stream(id, metadata, |account| domain::account::grant(account, Some(&admins), role))
        .await?;
    conclude(app, metadata, changed, None, role == Role::Admin).await
}

/// Disables an account, unless it is the last admin. If it is an admin, it is one again once it is enabled.
pub(crate) async fn disable(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    reason: Option<&AdminReason>,
) -> Result<Changed, CommandError> {
    let mut removed = remove(app, id, metadata, domain::admins::revoke).await?;
    let mut admins = None;
    if removed.is_none() && is_half_way(app, id).await? {
        // Another request may be between its two appends.
        tokio::time::sleep(BETWEEN_APPENDS).await;
        removed = remove(app, id, metadata, domain::admins::revoke).await?;
        if removed.is_none() {
            admins = Some(app.accounts.admins().await?);
        }
    }
    let changed = app
        .accounts
        .change_own_stream(id, metadata, |account| domain::account::disable(account, admins.as_ref(), reason))
        .await?;
    conclude(app, metadata, changed, removed, false).await
}

/// Whether an account says of itself that it is an admin, and is none: a removal or an addition has not come to its
/// end.
async fn is_half_way(app: &App, id: UserId) -> Result<bool, CommandError> {
    let account = app.accounts.load_own_stream(id).await?;
    let admins = app.accounts.admins().await?;
    Ok(account.is_some_and(|account| domain::account::is_half_way(&account, &admins)))
}

/// Enables an account, as an admin if it was one. One that is enabled already may be about to lose the role, so it
/// does not get it again.
pub(crate) async fn enable(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    reason: Option<&AdminReason>,
) -> Result<Changed, CommandError> {
    let changed = app
        .accounts
        .change_own_stream(id, metadata, |account| domain::account::enable(account, reason))
        .await?;
    let was_disabled = changed.happened;
    conclude(app, metadata, changed, None, was_disabled).await
}

/// Erases the person of an account as `decide` says, unless it is the last admin.
pub(crate) async fn erase(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    decide: impl Fn(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
) -> Result<Changed, CommandError> {
    let leave = |admins: Option<&Admins>, account: &Account| domain::admins::remove(admins, account.id);
    let removed = match remove(app, id, metadata, leave).await {
        // Another request was faster: then `decide` finds nothing to do.
        Err(CommandError::Refused(Refusal::AccountIsUnknown)) => None,
        other => other?,
    };
    match app.accounts.change_own_stream(id, metadata, decide).await {
        Ok(changed) => conclude(app, metadata, changed, removed, false).await,
        Err(CommandError::Refused(refusal)) => {
            if removed.is_some() {
                // The account and its role stay. Its person, who is no admin at this moment, cannot give it back.
                let metadata = metadata.by_system();
                let unchanged = app.accounts.change_own_stream(id, &metadata, |_| Ok(Vec::new())).await?;
                conclude(app, &metadata, unchanged, removed, true).await?;
            }
            Err(refusal.into())
        }
        Err(error) => Err(error),
    }
}

/// Removes the account of a person who is about to be erased from the admins, unless it is the last.
pub(crate) async fn leave(app: &App, id: UserId, metadata: &CommandMetadata) -> Result<(), CommandError> {
    let decide = |admins: Option<&Admins>| domain::admins::remove(admins, id);
    app.accounts.change_admins(id, metadata, decide).await?;
    Ok(())
}

/// Removes the account of an erased person from the admins, even if it is the last: the erasure matters more, and an
/// operator can name a new admin at any time. Returns the position in the log if there was something to remove.
pub(crate) async fn leave_erased(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
) -> Result<Option<u64>, CommandError> {
    let decide = |admins: Option<&Admins>| Ok(domain::admins::remove_erased(admins, id));
    let done = app.accounts.change_admins(id, metadata, decide).await?;
    if done.changed && done.state.is_none_or(|admins| admins.accounts.is_empty()) {
        tracing::warn!(
            account.id = %id,
            "the last admin is a person who was erased, so that nobody is an admin any more: name one with `taskledger users grant`"
        );
    }
    Ok(done.changed.then_some(done.position))
}

/// Removes the account from the admins, and broadcasts that. Returns the position in the log if there was something
/// to remove.
async fn remove(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    decide: impl Fn(Option<&Admins>, &Account) -> Result<Vec<AdminsEvent>, Refusal>,
) -> Result<Option<u64>, CommandError> {
    let account = app.accounts.load_own_stream(id).await?;
    let account = domain::account::existing(account.as_ref())?;
    let decide = |admins: Option<&Admins>| decide(admins, account);
    let done = app.accounts.change_admins(id, metadata, decide).await?;
    if done.changed {
        app.revocations.broadcast(Revocation::Account(id)).await;
    }
    Ok(done.changed.then_some(done.position))
}

/// Lets the admins follow the account's own stream, broadcasts that, and returns the effective account. A command that
/// `gives` the role adds the account.
async fn conclude(
    app: &App,
    metadata: &CommandMetadata,
    mut changed: Changed,
    removed: Option<u64>,
    mut gives: bool,
) -> Result<Changed, CommandError> {
    let id = changed.account.id;
    let (mut admins, mut metadata) = (None, metadata.clone());
    for _ in 0..ROUNDS {
        let account = &changed.account;
        let decide =
            |admins: Option<&Admins>| domain::admins::follow(admins, account, gives, metadata.actor());
        let done = app.accounts.change_admins(id, &metadata, decide).await;
        let done = done.inspect_err(|error| record_denial(error, &metadata))?;
        admins = done.state;
        if !done.changed {
            break;
        }
        changed.happened = true;
        changed.position = changed.position.max(done.position);
        // No append expects something of both streams, so another command may have changed the account meanwhile. What
        // this one has added or removed is then put right, whoever has made it.
        let account = app.accounts.load_own_stream(id).await?;
        changed.account = account.ok_or(Refusal::AccountIsUnknown)?;
        (gives, metadata) = (true, metadata.by_system());
    }
    changed.happened |= removed.is_some();
    changed.position = match changed.happened {
        true => changed.position.max(removed.unwrap_or_default()),
        false => app.accounts.newest_position().await?,
    };
    changed.account = domain::admins::effective(changed.account, admins.as_ref());
    // Also when nothing changed: an earlier process may have ended before it broadcast this.
    app.revocations.broadcast(Revocation::Account(id)).await;
    Ok(changed)
}

/// Writes to the security log when the person who gives the role has lost it since the request was admitted.
fn record_denial(error: &CommandError, metadata: &CommandMetadata) {
    if let CommandError::Refused(Refusal::ActorIsNoAdmin) = error
        && let Some(actor) = metadata.actor().person()
    {
        SecurityEvent::denied("role", Role::Admin.name()).actor(actor).record();
    }
}
