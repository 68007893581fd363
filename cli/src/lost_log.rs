//! Opens the log at the start of a role. An empty one is refused where something shows that there was one with
//! events: it would take writes, and nobody would notice that the log is lost. Commands that write to the log are
//! refused, too.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use audit_tree::{AuditTree, LastSigned};
use database::{Schema, masked};
use event_store::EventStore;

use crate::{
    platform,
    settings::{Settings, Storage},
};

/// Opens and migrates the log with sealed events. Neither creates it nor takes an empty one if it was lost.
pub(crate) async fn event_store(settings: &Settings) -> anyhow::Result<Arc<dyn EventStore>> {
    refuse_if_lost(settings, None).await?;
    let store = platform::event_store(&settings.storage).await?;
    refuse_if_lost(settings, Some(&*store)).await?;
    Ok(store)
}

/// Fails if the log is lost.
pub(crate) async fn refuse_if_lost(
    settings: &Settings,
    store: Option<&dyn EventStore>,
) -> anyhow::Result<()> {
    match loss(settings, store).await? {
        Some(sentence) => bail!(sentence),
        None => Ok(()),
    }
}

/// The sentence for an operator whose log is lost: `store` has no events, or without one there is no log, and something
/// was made from the events of a log.
pub(crate) async fn loss(
    settings: &Settings,
    store: Option<&dyn EventStore>,
) -> anyhow::Result<Option<String>> {
    if !has_no_events(settings, store).await? {
        return Ok(None);
    }
    let Some(trace) = trace(settings).await? else {
        return Ok(None);
    };
    // Another process may have made the log or written the first events since.
    if !has_no_events(settings, store).await? {
        return Ok(None);
    }
    let how = match store {
        Some(_) => "empty",
        None => "missing",
    };
    Ok(Some(format!(
        "the log at {} is {how}, and {trace} one with events: restore it from its backup, or, to begin again without it, \
         move the other databases and the keys in {} away",
        masked(&platform::database_url(&settings.storage, Schema::EventStore)?),
        settings.keys_dir().display()
    )))
}

/// Whether `store` has no events, or without one, whether there is no log.
async fn has_no_events(settings: &Settings, store: Option<&dyn EventStore>) -> anyhow::Result<bool> {
    match store {
        Some(store) => Ok(store.head().await? == 0),
        None => Ok(!platform::has_log(&settings.storage).await?),
    }
}

/// What shows that there was a log with events. Keys alone do not: they can be made before the first start.
async fn trace(settings: &Settings) -> anyhow::Result<Option<&'static str>> {
    let storage = &settings.storage;
    let keys = settings.audit_keys_dir();
    let has_signed = move || LastSigned::new(&keys).has_signed_events();
    let has_signed = runtime::read_at_start(has_signed).await;
    if has_signed.context("cannot read the directory of the keys")? {
        return Ok(Some("the keys of the audit tree have signed"));
    }
    if let Some(read_models) = platform::find(storage, Schema::ReadModels).await?
        && projector::has_projected(&read_models).await?
    {
        return Ok(Some("the read models were projected from"));
    }
    trace_in_files(storage).await
}

/// The same in databases that only some of the roles may read where they are on a server.
async fn trace_in_files(storage: &Storage) -> anyhow::Result<Option<&'static str>> {
    if storage.database_url()?.is_some() {
        return Ok(None);
    }
    if let Some(tree) = platform::find(storage, Schema::AuditTree).await? {
        let newest = AuditTree::new(tree).newest().await?;
        if newest.is_some_and(|tree| tree.size > 0) {
            return Ok(Some("the audit tree was made of"));
        }
    }
    if let Some(operations) = platform::find(storage, Schema::Operations).await?
        && relay::restore::has_published(&operations).await?
    {
        return Ok(Some("the relay has published"));
    }
    Ok(None)
}
