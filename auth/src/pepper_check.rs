//! Checks that the pepper is the one under which the addresses in the log were claimed. With another one every address
//! would look free, and nobody could log in.

use std::path::Path;

use anyhow::Context as _;
use event_store::{EventStore, StoreError};
use events::{AccountEvent, AccountRegistered, ERASED_EMAIL, EmailAddress, Event, RecordedEvent, StreamName};

use crate::keys::{self, KeyDefects, KeysUnusable, Pepper};

/// The most pages at the beginning of the log in which accounts are looked for.
const PAGES: usize = 8;
/// The most records in a page.
const PAGE_SIZE: usize = 256;
/// When so many accounts have no claim under the pepper, it is another one.
const ACCOUNTS: usize = 8;

/// Finds everything that keeps auth from using the keys in `directory` with `log`, whose events are opened. None is
/// created.
///
/// # Errors
/// When the log cannot be read.
pub async fn check_keys(directory: &Path, log: &dyn EventStore) -> anyhow::Result<KeyDefects> {
    let (pepper, mut defects) = keys::defects(directory);
    if let Some(pepper) = pepper
        && let Err(error) = check_pepper(directory, log, &pepper).await
    {
        defects.unusable.push(error.downcast()?);
    }
    Ok(defects)
}

/// Checks that one of the first accounts in `log` has its address claimed under `pepper`, unless none can be read.
/// `directory` is where the pepper is.
///
/// # Errors
/// When none has, and when the log cannot be read.
pub(crate) async fn check_pepper(
    directory: &Path,
    log: &dyn EventStore,
    pepper: &Pepper,
) -> anyhow::Result<()> {
    let is_right = is_pepper_of(log, pepper).await;
    if !is_right.context("the pepper cannot be compared with the event store")? {
        return Err(KeysUnusable::OtherPepper(directory.to_owned()).into());
    }
    Ok(())
}

async fn is_pepper_of(log: &dyn EventStore, pepper: &Pepper) -> Result<bool, StoreError> {
    let (mut after, mut unclaimed) = (0, 0);
    for _ in 0..PAGES {
        let page = log.log_page(after, PAGE_SIZE).await?;
        for recorded in page.entries.iter().flatten() {
            let Some(email) = registered_address(recorded) else {
                continue;
            };
            let claims = StreamName::email(&pepper.key_of(&email).0);
            if is_claimed_before(log, &claims, recorded.position).await? {
                return Ok(true);
            }
            unclaimed += 1;
            if unclaimed == ACCOUNTS {
                return Ok(false);
            }
        }
        match page.position() {
            Some(position) if page.more => after = position,
            _ => break,
        }
    }
    Ok(unclaimed == 0)
}

/// Whether an address was claimed, with the stream `claims`, before its account was registered at `position`. A claim
/// stays in its stream when the address is released. A later one is of somebody who had to register again, because the
/// pepper was another one then.
async fn is_claimed_before(
    log: &dyn EventStore,
    claims: &StreamName,
    position: u64,
) -> Result<bool, StoreError> {
    let first = match log.stream_page(claims, 0, 1).await {
        // There is such a stream.
        Err(StoreError::Corrupt(_)) => return Ok(true),
        other => other?,
    };
    let is_cut = first.version().is_some_and(|version| version > 1);
    Ok(is_cut || first.position().is_some_and(|claimed| claimed < position))
}

/// The address in the registration of an account, unless its person was erased. Only a plain one is used: of another,
/// the form in which addresses are compared may have been a different one in an earlier release.
fn registered_address(recorded: &RecordedEvent) -> Option<EmailAddress> {
    match Event::try_from(recorded) {
        Ok(Event::Account(AccountEvent::Registered(AccountRegistered { email, .. })))
            if email.is_ascii() && email != ERASED_EMAIL =>
        {
            EmailAddress::parse(&email).ok()
        }
        _ => None,
    }
}
