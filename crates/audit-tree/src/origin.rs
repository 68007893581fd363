//! The origin of a tree: a name for each history of the event log. Keys that have signed under one origin sign under
//! another only if an event of the log announces it. So changing the origin in the database does not bypass the
//! record of the last checkpoint.

use std::{path::Path, time::Duration};

use event_store::{EventStore, has_all};
use events::{OperationFinished, StoredEvent};
use runtime::BlockingCalls;
use tokio::time::Instant;
use transparency_log::{Algorithm, Checkpoint, NoteError, Signer};

use crate::{
    AuditTree, KeepError, LastSigned, SignedCheckpoint, SigningKeys, Tree, growing_tree::GrowingTree,
};

/// The most events that are read at once.
const PAGE: usize = 2_000;
/// How long it may take to read the keys, and to read or write beside them what was signed.
pub(crate) const FILE_TIMEOUT: Duration = Duration::from_secs(2);

/// The tree does not come from this log, or a checkpoint does not come from this tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The origin of the tree.
    pub origin: String,
    /// The reason, as a sentence.
    pub reason: String,
}

const ANNOUNCEMENT: &str = "the audit tree goes on under the origin ";

/// The result that is recorded for a command that began a tree of this origin.
pub fn announcement(origin: &str) -> String {
    format!("{ANNOUNCEMENT}{origin}")
}

/// The origin that this event announces.
pub(crate) fn announced_by(event: &StoredEvent) -> Option<String> {
    if !OperationFinished::has_kind(&event.kind) {
        return None;
    }
    let finished: OperationFinished = serde_json::from_slice(event.data.whole()?).ok()?;
    let result = finished.result?;
    let (_, origin) = result.split_once(ANNOUNCEMENT)?;
    Some(origin.to_owned())
}

/// Searches the log for the event that announces an origin. Each call continues where the last one stopped.
#[derive(Debug)]
pub(crate) struct AnnouncementSearch {
    origin: String,
    after: i64,
    is_found: bool,
}

/// The result of a part of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    Yes,
    /// Not as far as the log goes now.
    No,
    /// A part of the log has not been read yet.
    Unknown,
}

impl AnnouncementSearch {
    pub(crate) fn of(origin: &str) -> Self {
        Self { origin: origin.to_owned(), after: i64::MIN, is_found: false }
    }

    pub(crate) fn is_of(&self, origin: &str) -> bool {
        self.origin == origin
    }

    /// Searches on, and begins no further page after `until`, so that whoever must stop in time can call it again.
    pub(crate) async fn go_on(
        &mut self,
        store: &dyn EventStore,
        until: Instant,
    ) -> Result<Announced, KeepError> {
        while !self.is_found {
            let page = store.stored_page(self.after, PAGE).await?;
            let Some(last) = page.events.last() else {
                return Ok(Announced::No);
            };
            self.after = last.position;
            let mut announced = page.events.iter().filter_map(announced_by);
            self.is_found = announced.any(|origin| origin == self.origin);
            if !self.is_found && page.more && Instant::now() >= until {
                return Ok(Announced::Unknown);
            }
        }
        Ok(Announced::Yes)
    }

    /// Whether the log announces the origin, as far as the log goes now. Takes as long as reading the log does.
    async fn finds_it(mut self, store: &dyn EventStore) -> Result<bool, KeepError> {
        loop {
            match self.go_on(store, Instant::now()).await? {
                Announced::Unknown => {}
                announced => return Ok(announced == Announced::Yes),
            }
        }
    }
}

/// Makes a new, unique name.
pub(crate) fn new_origin(prefix: &str) -> String {
    format!("{prefix}/{}", runtime::new_id().simple())
}

/// Why the tree cannot continue with this log; `None` if it can. A `tree` without a database is `None`. `keys` is the
/// directory of the signing keys, if it is on this host. Keys that cannot be used are no reason:
/// [`SigningKeys::unusable`] finds them.
///
/// # Errors
/// When the log or the tree cannot be read.
pub async fn disagreement(
    store: &dyn EventStore,
    tree: Option<&AuditTree>,
    keys: Option<&Path>,
) -> Result<Option<Disagreement>, KeepError> {
    let Some((tree, newest)) = with_newest(tree).await? else {
        let signed = match keys {
            Some(keys) => read_files(keys, |keys| LastSigned::new(keys).any_origin()).await?,
            None => None,
        };
        return Ok(signed.map(|origin| Disagreement {
            origin,
            reason: "its database is missing or empty, and the keys here have signed it; only a backup of it could \
                     go on"
                .to_owned(),
        }));
    };
    let reason = match foreign_end(store, &newest).await? {
        Some(reason) => Some(reason),
        None => match keys {
            Some(keys) => disagreement_with_keys(store, tree, &newest, keys).await?,
            None => None,
        },
    };
    Ok(reason.map(|reason| Disagreement { origin: newest.origin, reason }))
}

/// Whether `keys`, the directory of the signing keys, has none, although `tree` or a record beside them was signed.
///
/// # Errors
/// When the tree or the directory cannot be read.
pub async fn lacks_signing_keys(tree: Option<&AuditTree>, keys: &Path) -> Result<bool, KeepError> {
    let is_signed = match with_newest(tree).await? {
        Some((tree, newest)) => tree.last_checkpoint(&newest).await?.is_some(),
        None => false,
    };
    read_files(keys, move |keys| {
        let has_signed = is_signed || LastSigned::new(keys).any_origin()?.is_some();
        Ok(has_signed && SigningKeys::are_none(keys)?)
    })
    .await
}

/// The tree that grows in the database, if there are both.
async fn with_newest(tree: Option<&AuditTree>) -> Result<Option<(&AuditTree, Tree)>, KeepError> {
    let Some(tree) = tree else {
        return Ok(None);
    };
    Ok(tree.newest().await?.map(|newest| (tree, newest)))
}

/// Why the log cannot be the one of the tree.
async fn foreign_end(store: &dyn EventStore, newest: &Tree) -> Result<Option<String>, KeepError> {
    let is_foreign = !has_all(store, &[newest.last]).await?;
    Ok(is_foreign.then(|| {
        format!("the audit tree has an event at position {} that the log does not have", newest.last.position)
    }))
}

/// Why the tree is not the one that the keys in this directory have signed.
async fn disagreement_with_keys(
    store: &dyn EventStore,
    tree: &AuditTree,
    newest: &Tree,
    keys: &Path,
) -> Result<Option<String>, KeepError> {
    let origin = newest.origin.clone();
    let (signers, remembered, signed_before) = read_files(keys, move |keys| {
        // A key that cannot be used may be the one that has signed.
        let signers = match SigningKeys::read(keys) {
            Ok(keys) => keys.signers(&origin, Algorithm::Ed25519)?,
            Err(_) => Vec::new(),
        };
        let memory = LastSigned::new(keys);
        Ok((signers, memory.checkpoint(&origin)?, memory.any_origin()?))
    })
    .await?;
    if !signers.is_empty()
        && let Some(stored) = tree.last_checkpoint(newest).await?
        && let Err(KeepError::StrangeKeys { .. }) = require_own(&stored, &signers, keys)
    {
        return Ok(Some(format!(
            "none of the keys in {} has signed its last checkpoint; copy the ones that did to there, if they are not lost",
            keys.display()
        )));
    }
    if let Some(remembered) = remembered {
        return disagreement_with(&remembered, store, tree, newest).await;
    }
    Ok(match signed_before {
        Some(before) if !AnnouncementSearch::of(&newest.origin).finds_it(store).await? => Some(format!(
            "no event of the log announces this origin, and the keys here have signed {before}; if there is a backup of that \
             tree, restore it, and everything goes on"
        )),
        _ => None,
    })
}

/// The result of `read`, for the directory `keys`, unless its file system does not answer.
async fn read_files<T: Send + 'static>(
    keys: &Path,
    read: impl FnOnce(&Path) -> Result<T, KeepError> + Send + 'static,
) -> Result<T, KeepError> {
    let keys = keys.to_owned();
    BlockingCalls::new(1, FILE_TIMEOUT).run(move || read(&keys)).await?
}

/// Why the tree is not the one of a checkpoint that is remembered.
async fn disagreement_with(
    remembered: &Checkpoint,
    store: &dyn EventStore,
    tree: &AuditTree,
    newest: &Tree,
) -> Result<Option<String>, KeepError> {
    // The tree may only be behind its checkpoint.
    let root = if remembered.size <= newest.size {
        tree.root_at(newest, remembered.size).await?
    } else {
        let mut growing = GrowingTree::load(tree, newest.clone()).await?;
        grow(&mut growing, store, remembered.size).await?;
        if growing.tree.size < remembered.size {
            return Ok(Some(format!(
                "a checkpoint of {} events was signed, and the log has {}",
                remembered.size, growing.tree.size
            )));
        }
        growing.root()
    };
    let is_same = root == remembered.root;
    Ok((!is_same).then(|| format!("another tree of {} events was signed", remembered.size)))
}

/// Begins a tree with a new origin, from the first event on. A first origin begins with `prefix`. Earlier checkpoints
/// stay valid for the earlier log. The caller records this in the log ([`announcement`]).
///
/// # Errors
/// When that is not possible.
pub async fn renew_origin(tree: &AuditTree, prefix: &str) -> Result<Option<String>, KeepError> {
    let (id, origin) = match tree.newest().await? {
        Some(newest) => (newest.id, newest.origin),
        None => (0, format!("{prefix}/")),
    };
    let prefix = origin.rsplit_once('/').map_or(&*origin, |(prefix, _)| prefix);
    tree.begin(id, &new_origin(prefix)).await?;
    Ok(tree.newest().await?.map(|tree| tree.origin))
}

/// Adds the events of the log to a tree in memory, up to `size`.
async fn grow(growing: &mut GrowingTree, store: &dyn EventStore, size: u64) -> Result<(), KeepError> {
    while growing.tree.size < size {
        let missing = usize::try_from(size - growing.tree.size).unwrap_or(usize::MAX);
        let after = runtime::signed(growing.tree.last.position);
        let page = store.stored_page(after, missing.min(1_000)).await?;
        if page.events.is_empty() {
            break;
        }
        growing.extend(&page.events);
    }
    Ok(())
}

/// Checks that one of `signers`, whose keys are in the directory `keys`, has signed this.
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

#[cfg(test)]
mod tests {
    use database::Database;
    use events::{NewEvent, OperationOutcome, StreamName, UserId};

    use super::*;

    /// The end of a command with this result.
    fn finished(result: &str) -> NewEvent {
        let finished =
            OperationFinished { outcome: OperationOutcome::Succeeded, result: Some(result.into()) };
        let data = serde_json::to_string(&finished).unwrap();
        test_support::event(UserId::NOBODY, "operation.finished", &data)
    }

    #[tokio::test]
    async fn whoever_must_stop_can_search_page_by_page() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("events.db"));
        let store = event_store::open(&url, 1).await.unwrap();
        let stream = StreamName::raw("operation-1");
        let mut version = 0;
        for _ in 0..5 {
            let others = (0..PAGE / 2).map(|_| finished("nothing else")).collect();
            version = store.append(&stream, version, others).await.unwrap().version;
        }
        let mut search = AnnouncementSearch::of("here/1");
        for announced in [Announced::Unknown, Announced::Unknown, Announced::No, Announced::No] {
            let found = search.go_on(&*store, Instant::now()).await.unwrap();
            assert_eq!(found, announced);
        }
        let announcing = finished(&announcement("here/1"));
        store.append(&stream, version, vec![announcing]).await.unwrap();
        let found = search.go_on(&*store, Instant::now()).await.unwrap();
        assert_eq!(found, Announced::Yes);
        assert!(AnnouncementSearch::of("here/1").finds_it(&*store).await.unwrap());
        assert!(!AnnouncementSearch::of("here/2").finds_it(&*store).await.unwrap());
    }
}
