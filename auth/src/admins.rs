//! Changes that could leave nobody to manage accounts. No single stream knows how many admins there are, so a
//! change is made first, and taken back if no admin is left after it. Of two admins who drop each other at
//! the same moment, both then stay.

use std::collections::BTreeSet;

use auth_client::Revocation;
use events::{Account, AccountEvent, Event, Role, StreamKind, UserId};

use crate::{
    auth::Auth,
    domain::{self, Refusal},
    error::{CommandError, Failure},
    ledger::{Cause, Done, Loaded},
};

type Changed = Result<(Account, Done<(), ()>), CommandError>;

/// Replaces the roles of an account, unless it is the last admin and would not be one any more.
pub(crate) async fn set_roles(auth: &Auth, id: UserId, cause: &Cause, roles: &BTreeSet<Role>) -> Changed {
    guarded(
        auth,
        id,
        cause,
        |account| domain::account::set_roles(account, roles),
        |account, before| domain::account::set_roles(account, &before.roles),
    )
    .await
}

/// Disables an account, unless it is the last admin.
pub(crate) async fn disable(auth: &Auth, id: UserId, cause: &Cause) -> Changed {
    guarded(auth, id, cause, domain::account::disable, |account, _| {
        domain::account::enable(account)
    })
    .await
}

async fn guarded(
    auth: &Auth,
    id: UserId,
    cause: &Cause,
    change: impl Fn(Option<&Account>) -> Result<Vec<AccountEvent>, Refusal>,
    undo: impl Fn(Option<&Account>, &Account) -> Result<Vec<AccountEvent>, Refusal>,
) -> Changed {
    let mut before = None;
    let changed = auth
        .change_account(id, cause, |account| {
            before = account.cloned();
            change(account)
        })
        .await?;
    let (account, done) = &changed;
    if let Some(before) = before.filter(is_admin)
        && done.changed
        && !is_admin(account)
        && !any_admin(auth).await?
    {
        auth.change_account(id, &cause.by_system(), |account| undo(account, &before))
            .await?;
        auth.revoke(Revocation::Account(id)).await;
        return Err(Refusal::AccountIsLastAdmin(id).into());
    }
    Ok(changed)
}

fn is_admin(account: &Account) -> bool {
    account.is_live() && account.roles.contains(&Role::Admin)
}

/// Whether anyone is an admin now. Candidates come from the read model and from the end of the log that it
/// does not show yet; the event store has the last word on each.
async fn any_admin(auth: &Auth) -> Result<bool, Failure> {
    const PAGE: usize = 1_000;
    let sql = "SELECT id FROM accounts WHERE roles LIKE '%\"admin\"%'";
    let checkpoints = "SELECT partition, position FROM checkpoints WHERE partitions = $1";
    let rows = auth
        .read_models
        .fetch_all(checkpoints, &[auth.partitions.get().into()])
        .await?;
    let mut after = u64::MAX;
    for row in &rows {
        after = after.min(row.unsigned("position")?);
    }
    if rows.len() < usize::from(auth.partitions.get()) {
        after = 0;
    }
    let mut candidates = BTreeSet::new();
    for row in auth.read_models.fetch_all(sql, &[]).await? {
        candidates.insert(UserId(row.uuid("id")?));
    }
    let head = auth.ledger.store().head().await?;
    while after < head {
        let page = auth.ledger.store().log_page(after, PAGE).await?;
        let Some(last) = page.position() else { break };
        after = last;
        for recorded in page.entries.iter().flatten() {
            let Ok(StreamKind::Account(id)) = recorded.stream.kind() else {
                continue;
            };
            if let Event::Account(AccountEvent::RolesChanged(changed)) = Event::try_from(recorded)?
                && changed.roles.contains(&Role::Admin)
            {
                candidates.insert(id);
            }
        }
    }
    for id in candidates {
        let account: Loaded<Account> = auth.ledger.load(&id).await?;
        if account.state.as_ref().is_some_and(is_admin) {
            return Ok(true);
        }
    }
    Ok(false)
}
