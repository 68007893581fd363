//! Which log it is that is signed: a name of its own for each history of the event log.

use std::path::Path;

use event_store::{EventStore, agrees};

use crate::{AuditTree, KeepError, LastSigned};

/// The tree does not come from the log that is there, or not all that was signed comes from this tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The origin that cannot go on.
    pub origin: String,
    /// Why, as a sentence.
    pub reason: String,
}

/// A name that no other log has.
pub(crate) fn new_origin(prefix: &str) -> String {
    format!("{prefix}/{}", runtime::new_id().simple())
}

/// Whether the tree can go on with the log that is there; `keys` is the directory of the keys that sign it, if it is here.
///
/// # Errors
/// When the log or the tree cannot be read.
pub async fn disagreement(
    store: &dyn EventStore,
    tree: &AuditTree,
    keys: Option<&Path>,
) -> Result<Option<Disagreement>, KeepError> {
    let Some(newest) = tree.newest().await? else {
        return Ok(None);
    };
    let because = |reason: String| {
        Ok(Some(Disagreement {
            origin: newest.origin.clone(),
            reason,
        }))
    };
    if !agrees(store, &[newest.last])
        .await?
        .into_iter()
        .all(|agrees| agrees)
    {
        return because(format!(
            "the audit tree has an event at position {} that the log does not have",
            newest.last.position
        ));
    }
    let remembered = match keys {
        Some(keys) => LastSigned::new(keys).read(&newest.origin)?,
        None => None,
    };
    let Some(remembered) = remembered else {
        return Ok(None);
    };
    let remembered: transparency_log::Checkpoint = remembered.text.parse()?;
    if remembered.size > newest.size {
        // The tree may only be behind, unless the log is not that long.
        let left = events_after(store, newest.last.position, remembered.size - newest.size).await?;
        if newest.size + left < remembered.size {
            return because(format!(
                "a checkpoint of {} events was signed, and the log has {}",
                remembered.size,
                newest.size + left
            ));
        }
        return Ok(None);
    }
    if tree.root_at(&newest, remembered.size).await? == remembered.root {
        return Ok(None);
    }
    because(format!("another tree of {} events was signed", remembered.size))
}

/// Begins a tree of a new origin, which grows from the first event on. What was signed under the name before stays true of
/// the log that was there before.
///
/// # Errors
/// When that is not possible.
pub async fn renew_origin(tree: &AuditTree) -> Result<Option<String>, KeepError> {
    let Some(newest) = tree.newest().await? else {
        return Ok(None);
    };
    let prefix = newest
        .origin
        .rsplit_once('/')
        .map_or(&*newest.origin, |(prefix, _)| prefix);
    tree.begin(newest.id, &new_origin(prefix)).await?;
    Ok(tree.newest().await?.map(|tree| tree.origin))
}

/// How many events the log has after a position, counted up to `most`.
async fn events_after(store: &dyn EventStore, position: u64, most: u64) -> Result<u64, KeepError> {
    let (mut after, mut count) = (crate::reading::signed(position), 0);
    loop {
        let page = store.stored_page(after, 1_000).await?;
        count += page.events.len() as u64;
        after = page.events.last().map_or(after, |event| event.position);
        if count >= most || !page.more || page.events.is_empty() {
            return Ok(count);
        }
    }
}
