//! Changes that make or unmake an admin. Who loses the role, or is disabled, leaves the stream `admins` first, with one
//! append that is refused for the last one; who gains it enters that stream last. What is lost in between is done by
//! repeating the same command.

use std::collections::BTreeSet;

use auth_client::Revocation;
use events::{Account, AccountEvent, Admins, Role, UserId};

use crate::{
    auth::{Auth, Changed},
    domain::{self, Refusal},
    error::CommandError,
    ledger::{Cause, Loaded},
};

/// Replaces the roles of an account, unless it is the last admin and would not be one any more.
pub(crate) async fn set_roles(
    auth: &Auth,
    id: UserId,
    cause: &Cause,
    roles: &BTreeSet<Role>,
) -> Result<Changed, CommandError> {
    let removed = if roles.contains(&Role::Admin) {
        None
    } else {
        remove(auth, id, cause).await?
    };
    let changed = change(auth, id, cause, |account| {
        domain::account::set_roles(account, roles)
    })
    .await?;
    conclude(auth, cause, changed, removed).await
}

/// Gives an account one more role.
pub(crate) async fn grant(
    auth: &Auth,
    id: UserId,
    cause: &Cause,
    role: Role,
) -> Result<Changed, CommandError> {
    let changed = change(auth, id, cause, |account| domain::account::grant(account, role)).await?;
    conclude(auth, cause, changed, None).await
}

/// Disables an account, unless it is the last admin.
pub(crate) async fn disable(auth: &Auth, id: UserId, cause: &Cause) -> Result<Changed, CommandError> {
    let removed = remove(auth, id, cause).await?;
    let changed = change(auth, id, cause, domain::account::disable).await?;
    conclude(auth, cause, changed, removed).await
}

/// Lets an account be used again, as an admin if it was one.
pub(crate) async fn enable(auth: &Auth, id: UserId, cause: &Cause) -> Result<Changed, CommandError> {
    let changed = change(auth, id, cause, domain::account::enable).await?;
    conclude(auth, cause, changed, None).await
}

/// Takes the account out of the admins, and tells everyone. Returns the position in the log if that was needed.
async fn remove(auth: &Auth, id: UserId, cause: &Cause) -> Result<Option<u64>, CommandError> {
    let account: Loaded<Account> = auth.ledger.load(&id).await?;
    domain::account::exists(account.state.as_ref())?;
    let decide = |admins: Option<&Admins>, _| Ok((domain::admins::remove(admins, id)?, ()));
    let done = auth.ledger.execute::<Admins, ()>(&(), id, cause, decide).await?;
    if done.changed {
        auth.revoke(Revocation::Account(id)).await;
    }
    Ok(done.changed.then_some(done.position))
}

/// Decides about the account by its own stream.
async fn change(
    auth: &Auth,
    id: UserId,
    cause: &Cause,
    decide: impl Fn(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
) -> Result<Changed, CommandError> {
    let mut open = Vec::new();
    let done = auth
        .ledger
        .execute::<Account, ()>(&id, id, cause, |account, _| {
            open = account
                .map(|account| account.open_sessions.clone())
                .unwrap_or_default();
            Ok((decide(account)?, ()))
        })
        .await?;
    let account = done.state.ok_or(Refusal::AccountIsUnknown)?;
    open.retain(|session| !account.open_sessions.contains(session));
    Ok(Changed {
        account,
        position: done.position,
        happened: done.changed,
        closed: open,
    })
}

/// Adds the account to the admins if its own stream says that it is to be one, tells everyone, and shows the account as
/// it counts now.
async fn conclude(
    auth: &Auth,
    cause: &Cause,
    mut changed: Changed,
    removed: Option<u64>,
) -> Result<Changed, CommandError> {
    let id = changed.account.id;
    let admins = if changed.account.is_live() && changed.account.roles.contains(&Role::Admin) {
        let decide = |admins: Option<&Admins>, _| Ok((domain::admins::add(admins, id), ()));
        let done = auth.ledger.execute::<Admins, ()>(&(), id, cause, decide).await?;
        if done.changed {
            changed.happened = true;
            changed.position = changed.position.max(done.position);
        }
        done.state
    } else {
        auth.ledger.load::<Admins>(&()).await?.state
    };
    changed.happened |= removed.is_some();
    changed.position = changed.position.max(removed.unwrap_or_default());
    changed.account = domain::admins::effective(changed.account, admins.as_ref());
    // Also when nothing happened: whoever did it before may have died before telling anyone.
    auth.revoke(Revocation::Account(id)).await;
    Ok(changed)
}
