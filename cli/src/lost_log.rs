//! Opens the log at the start of a role. An empty one is refused where something shows that there was one with
//! events: it would take writes, and nobody would notice that the log is lost. Commands that write to the log or make
//! one are refused, too.

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
    let trace = match trace_in_keys(settings).await? {
        None => trace_in_databases(&settings.storage).await?,
        found => found,
    };
    sentence(settings, store, trace).await
}

/// Fails if there is no log, and another database was made from one. What the keys of the audit tree have signed is
/// no reason, since they are brought to a new place before the log is imported there.
pub(crate) async fn refuse_to_replace(settings: &Settings) -> anyhow::Result<()> {
    if !has_no_events(settings, None).await? {
        return Ok(());
    }
    let trace = trace_in_databases(&settings.storage).await?;
    match sentence(settings, None, trace).await? {
        Some(sentence) => bail!(sentence),
        None => Ok(()),
    }
}

/// The sentence about the log that has left `trace`, if any.
async fn sentence(
    settings: &Settings,
    store: Option<&dyn EventStore>,
    trace: Option<&'static str>,
) -> anyhow::Result<Option<String>> {
    let Some(trace) = trace else {
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

/// What the keys of the audit tree show of a log with events. That there are keys shows nothing: they can be made
/// before the first start.
async fn trace_in_keys(settings: &Settings) -> anyhow::Result<Option<&'static str>> {
    let keys = settings.audit_keys_dir();
    let has_signed = move || LastSigned::new(&keys).has_signed_events();
    let has_signed = runtime::read_at_start(has_signed).await;
    let has_signed = has_signed.context("cannot read the directory of the keys")?;
    Ok(has_signed.then_some("the keys of the audit tree have signed"))
}

/// What the other databases show of a log with events.
async fn trace_in_databases(storage: &Storage) -> anyhow::Result<Option<&'static str>> {
    if let Some(read_models) = platform::find(storage, Schema::ReadModels).await?
        && projector::has_projected(&read_models).await?
    {
        return Ok(Some("the read models were projected from"));
    }
    trace_in_files(storage).await
}

/// The same in databases that only some of the roles may read where they are on a server.
async fn trace_in_files(storage: &Storage) -> anyhow::Result<Option<&'static str>> {
    if !storage.is_embedded()? {
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
