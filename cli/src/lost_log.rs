//! Opens the log at the start of a role. An empty one is refused where something shows that there was one with
//! events: it would take writes, and nobody would notice that the log is lost. Commands that write to the log, make one
//! or bring keys for one are refused, too.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use audit_tree::{AuditTree, LastSigned};
use database::{DatabaseError, Schema};
use event_store::EventStore;
use runtime::masked;

use crate::{
    deleted_file, platform,
    settings::{Settings, Storage},
};

/// Opens and migrates the log with sealed events. Neither creates it nor takes an empty one if it was lost.
pub(crate) async fn event_store(settings: &Settings) -> anyhow::Result<Arc<dyn EventStore>> {
    refuse_if_lost(settings, None).await?;
    let store = platform::event_store(&settings.storage).await?;
    refuse_if_lost(settings, Some(&*store)).await?;
    Ok(store)
}

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
    let mut trace = trace_in_keys(settings).await?;
    if trace.is_none() {
        trace = trace_in_records(&settings.storage).await?;
    }
    if trace.is_none() {
        trace = trace_in_tree(&settings.storage).await?;
    }
    let way_out = format!(
        "to begin again without it, move the other databases and the keys in {} away",
        settings.keys_dir().display()
    );
    sentence(settings, store, trace, &way_out).await
}

/// Fails if `store` has no events, or without one there is no log, and the read models or the relay have read one.
/// What the keys of the audit tree have signed, and the tree itself, are no reason: they are brought to a new place
/// before the log is imported there.
pub(crate) async fn refuse_to_replace(
    settings: &Settings,
    store: Option<&dyn EventStore>,
) -> anyhow::Result<()> {
    if !has_no_events(settings, store).await? {
        return Ok(());
    }
    let trace = trace_in_records(&settings.storage).await?;
    let way_out = "to let another one take its place, move the read models and the records of the roles (`read_models` and \
                   `operations`) away, and nothing else, and bring that one with `taskledger events import`";
    match sentence(settings, store, trace, way_out).await? {
        Some(sentence) => bail!(sentence),
        None => Ok(()),
    }
}

/// The sentence about the log that has left `trace`, if any. `way_out` says how to do without it.
async fn sentence(
    settings: &Settings,
    store: Option<&dyn EventStore>,
    trace: Option<&'static str>,
    way_out: &str,
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
    let url = platform::database_url(&settings.storage, Schema::EventStore)?;
    let rescue = match deleted_file::still_open(&url).await {
        Some(open) => format!(
            "a process still has it open, as {}: do not stop that before the file is copied, and put the copy in its \
             place then, as docs/operations.md says under \"A log that was deleted\". If that cannot be done, ",
            open.display()
        ),
        None => String::new(),
    };
    Ok(Some(format!(
        "the log at {} is {how}, and {trace} one with events: {rescue}restore it from its backup, or, {way_out}",
        masked(&url)
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

/// What the read models and the records of the roles show of a log with events.
async fn trace_in_records(storage: &Storage) -> anyhow::Result<Option<&'static str>> {
    if if_allowed(have_projected(storage)).await? {
        return Ok(Some("the read models were projected from"));
    }
    let has_published = if_allowed(has_published(storage)).await?;
    Ok(has_published.then_some("the relay has published"))
}

/// What the audit tree shows of a log with events.
async fn trace_in_tree(storage: &Storage) -> anyhow::Result<Option<&'static str>> {
    let has_leaves = if_allowed(has_leaves(storage)).await?;
    Ok(has_leaves.then_some("the audit tree was made of"))
}

async fn have_projected(storage: &Storage) -> anyhow::Result<bool> {
    match platform::find(storage, Schema::ReadModels).await? {
        Some(read_models) => Ok(projector::has_projected(&read_models).await?),
        None => Ok(false),
    }
}

async fn has_published(storage: &Storage) -> anyhow::Result<bool> {
    match platform::find(storage, Schema::Operations).await? {
        Some(operations) => Ok(relay::restore::has_published(&operations).await?),
        None => Ok(false),
    }
}

async fn has_leaves(storage: &Storage) -> anyhow::Result<bool> {
    let newest = match platform::find(storage, Schema::AuditTree).await? {
        Some(tree) => AuditTree::new(tree).newest().await?,
        None => None,
    };
    Ok(newest.is_some_and(|tree| tree.size > 0))
}

/// What `look` finds, or nothing in a database that this role may not read. On a server, each database is read by some
/// of the roles, which then refuse to start.
async fn if_allowed(look: impl Future<Output = anyhow::Result<bool>>) -> anyhow::Result<bool> {
    let is_forbidden = |error: &anyhow::Error| {
        let error = error.downcast_ref::<DatabaseError>();
        error.is_some_and(DatabaseError::is_forbidden)
    };
    match look.await {
        Err(error) if is_forbidden(&error) => Ok(false),
        found => found,
    }
}
