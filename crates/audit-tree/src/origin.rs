//! Which log it is that is signed: a name of its own for each history of the event log.

use std::path::Path;

use event_store::{EventStore, agrees};
use transparency_log::{Algorithm, NoteError, Signer};

use crate::{AuditTree, KeepError, LastSigned, SignedCheckpoint, SigningKeys, growing_tree::GrowingTree};

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
    let Some(keys) = keys else {
        return Ok(None);
    };
    let signers = SigningKeys::read(keys)?.signers(&newest.origin, Algorithm::Ed25519)?;
    if !signers.is_empty()
        && let Some(stored) = tree.last_checkpoint(&newest).await?
        && let Err(KeepError::StrangeKeys { .. }) = require_own(&stored, &signers, keys)
    {
        return because(format!(
            "none of the keys in {} has signed its last checkpoint; copy the ones that did to there, if they are not lost",
            keys.display()
        ));
    }
    let Some(remembered) = LastSigned::new(keys).checkpoint(&newest.origin)? else {
        return Ok(None);
    };
    // The tree may only be behind what was signed of it.
    let root = if remembered.size <= newest.size {
        tree.root_at(&newest, remembered.size).await?
    } else {
        let mut growing = GrowingTree::load(tree, newest.clone()).await?;
        grow(&mut growing, store, remembered.size).await?;
        if growing.tree.size < remembered.size {
            return because(format!(
                "a checkpoint of {} events was signed, and the log has {}",
                remembered.size, growing.tree.size
            ));
        }
        growing.root()
    };
    if root == remembered.root {
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

/// Lets a tree grow in memory, as far as the log goes and up to `size`.
async fn grow(growing: &mut GrowingTree, store: &dyn EventStore, size: u64) -> Result<(), KeepError> {
    while growing.tree.size < size {
        let missing = usize::try_from(size - growing.tree.size).unwrap_or(usize::MAX);
        let after = crate::reading::signed(growing.tree.last.position);
        let page = store.stored_page(after, missing.min(1_000)).await?;
        if page.events.is_empty() {
            break;
        }
        growing.extend(&page.events);
    }
    Ok(())
}

/// Makes sure that one of `signers`, whose keys are in the directory `keys`, has signed this.
pub(crate) fn require_own(
    stored: &SignedCheckpoint,
    signers: &[Signer],
    keys: &Path,
) -> Result<(), KeepError> {
    let own: Vec<_> = signers.iter().map(|signer| signer.verifier().clone()).collect();
    match stored.note.verify(&own) {
        Ok(()) => Ok(()),
        Err(NoteError::Unsigned) => Err(KeepError::StrangeKeys {
            directory: keys.to_owned(),
            origin: stored.checkpoint.origin.clone(),
        }),
        Err(error) => Err(error.into()),
    }
}
