//! Grows the tree with the log and signs checkpoints of it.
//!
//! Several processes can run a signer for one tree: each transaction begins at the current end of the tree, or does
//! nothing. A signer that finds another one active waits until that one stops, and meanwhile records what it signs. A
//! tree only ever grows by events that the log has, and before anything is signed, the tree is compared with what was
//! signed before.

mod signing_checks;

use std::{path::PathBuf, sync::Arc, time::Duration};

use event_store::{EventStore, StoredPage};
use runtime::{Backoff, BlockingCalls, Clock, Rounds};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transparency_log::{Algorithm, Checkpoint, Note, Signer};

use crate::{
    AuditTree, CheckpointSignerMetrics, KeepError, LastSigned, SignedCheckpoint, SigningKeys, Tree,
    growing_tree::GrowingTree,
    origin::{AnnouncementSearch, new_origin, require_own},
    reading::signed,
};

/// The most events that one step adds.
const PAGE: usize = 2_000;
/// The time between two reads of the end of the log, and between two checkpoints of a tree that is behind.
const INTERVAL: Duration = Duration::from_millis(250);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How often an unchanged tree is compared with the log, and how long an active signer of another process is left
/// alone.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
const STANDBY: Duration = Duration::from_secs(2);
/// The pause after the first failure.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a signer that stops tries to record what was signed last.
const LONGEST_FAREWELL: Duration = Duration::from_secs(1);
/// How long it may take to write beside the keys what was signed.
const WRITE_WITHIN: Duration = Duration::from_secs(2);
/// The number of checkpoints of a tree that are kept. Older ones are deleted each time this many have been added.
const KEPT_CHECKPOINTS: i64 = 10_000;
const CHECKPOINTS_PER_CLEANING: u32 = 100;

/// Lets a tree grow, and signs checkpoints of it.
pub struct CheckpointSigner {
    tree: AuditTree,
    store: Arc<dyn EventStore>,
    keys: PathBuf,
    prefix: String,
    clock: Arc<dyn Clock>,
    metrics: CheckpointSignerMetrics,
    at_work: Option<AtWork>,
    /// The size of the tree when another process was last found active.
    overtaken_at: Option<u64>,
    checkpoints: u32,
    forgetful: bool,
    writes: BlockingCalls,
    /// The search in the log for the origin of the tree, while nothing was signed under it and checkpoints of other
    /// origins are recorded.
    announcement: Option<AnnouncementSearch>,
}

/// The state between two steps.
struct AtWork {
    growing: GrowingTree,
    signers: Vec<Signer>,
    /// The last signed checkpoint, which has been compared with the tree.
    signed: Option<Checkpoint>,
    /// The last signed checkpoint in the directory of keys, while it has not been compared with the tree.
    remembered: Option<Checkpoint>,
    signed_at: Instant,
    compared_at: Instant,
}

impl CheckpointSigner {
    /// Creates the signer of `tree` for the log `store`. `keys` is the directory of the signing keys; the first key
    /// is created when there is neither a key nor a tree. The name of a new tree begins with `prefix`.
    #[must_use]
    pub fn new(
        tree: AuditTree,
        store: Arc<dyn EventStore>,
        keys: PathBuf,
        prefix: String,
        clock: Arc<dyn Clock>,
        metrics: CheckpointSignerMetrics,
    ) -> Self {
        Self {
            tree,
            store,
            keys,
            prefix,
            clock,
            metrics,
            at_work: None,
            overtaken_at: None,
            checkpoints: 0,
            forgetful: false,
            writes: BlockingCalls::new(1, WRITE_WITHIN),
            announcement: None,
        }
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut complaint = None;
        let mut rounds = Rounds::every(INTERVAL, stop);
        while rounds.next().await {
            let step = self.step().await;
            let said = self.complain(&step, complaint.as_deref());
            if step.is_ok() {
                backoff.reset();
            }
            match step {
                Ok(true) => rounds.set_next_pause(Duration::ZERO),
                Ok(false) => {}
                Err(KeepError::Overtaken) => rounds.set_next_pause(STANDBY),
                Err(_) if said.is_some() => rounds.set_next_pause(STANDBY),
                Err(error) => {
                    tracing::warn!(%error, "the audit tree cannot go on: trying again");
                    rounds.set_next_pause(backoff.pause());
                }
            }
            complaint = said;
        }
        // Records what another process signed last, if the database still answers.
        let _ = tokio::time::timeout(LONGEST_FAREWELL, self.load()).await;
    }

    /// Tells operators of what only they can put right, unless that is what was told `before`. Returns it.
    fn complain(&self, step: &Result<bool, KeepError>, before: Option<&str>) -> Option<String> {
        let error = step.as_ref().err().filter(|error| error.needs_an_operator());
        self.metrics.stopped.set(error.is_some().into());
        let said = error?.to_string();
        if Some(&*said) != before {
            tracing::error!("{said}");
        }
        Some(said)
    }

    /// Adds the next events of the log, and signs when it is time. Returns whether there are more events.
    ///
    /// # Errors
    /// When not all was done; the next call begins with the state of the tables.
    pub async fn step(&mut self) -> Result<bool, KeepError> {
        let mut at_work = match self.at_work.take() {
            Some(at_work) => at_work,
            None => self.load().await?,
        };
        let page = self
            .store
            .stored_page(signed(at_work.growing.tree.last.position), PAGE)
            .await?;
        let more = page.more && !page.events.is_empty();
        if page.events.is_empty() {
            if at_work.compared_at.elapsed() >= COMPARE_EVERY {
                self.compare(&[at_work.growing.tree.last]).await?;
                at_work.compared_at = Instant::now();
            }
        } else {
            self.grow(&mut at_work, page).await?;
        }
        let is_due = !more || at_work.signed_at.elapsed() >= CHECKPOINT_EVERY;
        let is_signed = at_work
            .signed
            .as_ref()
            .is_some_and(|signed| signed.size == at_work.growing.tree.size);
        if is_due && (!is_signed || at_work.remembered.is_some()) {
            self.sign(&mut at_work, more).await?;
        }
        self.metrics.size.set(signed(at_work.growing.tree.size));
        self.at_work = Some(at_work);
        Ok(more)
    }

    /// Loads the newest tree, ready to grow, when no other process is active on it.
    async fn load(&mut self) -> Result<AtWork, KeepError> {
        let (tree, stored) = self.newest().await?;
        let signers = self.signers(&tree, stored.as_ref())?;
        let remembered = self.follow(&tree, stored.as_ref()).await?;
        if self
            .overtaken_at
            .replace(tree.size)
            .is_some_and(|size| size != tree.size)
        {
            return Err(KeepError::Overtaken);
        }
        self.overtaken_at = None;
        let growing = GrowingTree::load(&self.tree, tree).await?;
        self.compare(&[growing.tree.last]).await?;
        Ok(AtWork {
            growing,
            signers,
            signed: stored.map(|stored| stored.checkpoint),
            remembered,
            signed_at: Instant::now(),
            compared_at: Instant::now(),
        })
    }

    /// The newest tree, or a new one if there is none, and its last checkpoint.
    async fn newest(&self) -> Result<(Tree, Option<SignedCheckpoint>), KeepError> {
        let known = match self.tree.newest().await? {
            Some(tree) => tree,
            None => {
                self.tree.begin(0, &new_origin(&self.prefix)).await?;
                self.tree.newest().await?.ok_or(KeepError::Overtaken)?
            }
        };
        let stored = self.tree.last_checkpoint(&known).await?;
        // Read after the checkpoint, so that the tree is at least as large.
        match self.tree.newest().await? {
            Some(tree) if tree.id == known.id => Ok((tree, stored)),
            _ => Err(KeepError::Overtaken),
        }
    }

    /// The signers of `tree` on this host. The first key is created for a tree that nobody can have signed yet.
    fn signers(&self, tree: &Tree, stored: Option<&SignedCheckpoint>) -> Result<Vec<Signer>, KeepError> {
        let is_first = tree.id == 1 && tree.size == 0 && stored.is_none();
        let keys = match is_first {
            true => SigningKeys::open(&self.keys)?,
            false => SigningKeys::read(&self.keys)?,
        };
        let signers = keys.signers(&tree.origin, Algorithm::Ed25519)?;
        if signers.is_empty() {
            return Err(KeepError::StrangeKeys {
                directory: self.keys.clone(),
                origin: tree.origin.clone(),
            });
        }
        if let Some(stored) = stored {
            require_own(stored, &signers, &self.keys)?;
        }
        Ok(signers)
    }

    /// Records the last checkpoint of any process, after comparing it with the tree and with the one recorded before.
    /// Returns the recorded checkpoint while it cannot be compared yet.
    async fn follow(
        &mut self,
        tree: &Tree,
        stored: Option<&SignedCheckpoint>,
    ) -> Result<Option<Checkpoint>, KeepError> {
        let remembered = LastSigned::new(&self.keys).checkpoint(&tree.origin)?;
        let Some(stored) = stored else {
            return Ok(remembered);
        };
        self.agrees_with(tree, &stored.checkpoint).await?;
        if let Some(remembered) = remembered {
            if remembered.size >= stored.checkpoint.size {
                return Ok(Some(remembered));
            }
            self.agrees_with(tree, &remembered).await?;
        }
        self.remember(&tree.origin, &stored.note).await;
        Ok(None)
    }

    async fn grow(&mut self, at_work: &mut AtWork, page: StoredPage) -> Result<(), KeepError> {
        let before = at_work.growing.tree.clone();
        let tiles = at_work.growing.extend(&page.events);
        let after = &at_work.growing.tree;
        // A log that has both events has all between them.
        self.compare(&[before.last, after.last]).await?;
        at_work.compared_at = Instant::now();
        if self.tree.grow(&before, after, &tiles).await? {
            Ok(())
        } else {
            self.overtaken_at = Some(before.size);
            Err(KeepError::Overtaken)
        }
    }

    async fn sign(&mut self, at_work: &mut AtWork, more: bool) -> Result<(), KeepError> {
        if !self.may_be_signed(at_work, more).await? {
            return Ok(());
        }
        let tree = &at_work.growing.tree;
        let checkpoint = Checkpoint {
            origin: tree.origin.clone(),
            size: tree.size,
            root: at_work.growing.root(),
        };
        let note = checkpoint.sign(&at_work.signers);
        self.remember(&tree.origin, &note).await;
        self.tree
            .add_checkpoint(tree, &checkpoint, &note, self.clock.now())
            .await?;
        self.metrics.signed.set(signed(checkpoint.size));
        at_work.signed = Some(checkpoint);
        at_work.signed_at = Instant::now();
        self.checkpoints += 1;
        if self.checkpoints.is_multiple_of(CHECKPOINTS_PER_CLEANING) {
            self.tree.forget_checkpoints(tree, KEPT_CHECKPOINTS).await?;
        }
        Ok(())
    }

    /// Records a signed checkpoint beside the keys. A failure is logged once and ignored.
    async fn remember(&mut self, origin: &str, note: &Note) {
        let (memory, origin, note) = (LastSigned::new(&self.keys), origin.to_owned(), note.clone());
        let written = self.writes.run(move || memory.write(&origin, &note)).await;
        let failed = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = &failed
            && !self.forgetful
        {
            tracing::warn!(
                error,
                directory = %self.keys.display(),
                "what was signed cannot be remembered beside the keys: databases that go back to an earlier state are \
                 noticed by witnesses only"
            );
        }
        self.forgetful = failed.is_some();
    }
}
