//! Grows the tree with the log and signs checkpoints of it.
//!
//! Several processes can run a signer for one tree: each transaction begins at the current end of the tree, or does
//! nothing. A signer that finds another one active waits until that one stops, and meanwhile records what it signs. A
//! tree only ever grows by events that the log has, and before anything is signed, the tree is compared with what was
//! signed before.

mod signing_checks;

use std::{path::PathBuf, sync::Arc, time::Duration};

use event_store::{EventStore, StoredPage};
use runtime::{Backoff, BlockingCalls, Clock, Rounds, signed};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transparency_log::{Algorithm, Checkpoint, Note, Signer};

use crate::{
    AuditTree, CheckpointSignerMetrics, KeepError, LastSigned, SignedCheckpoint, SigningKeys, Tree,
    growing_tree::GrowingTree,
    origin::{AnnouncementSearch, FILE_TIMEOUT, new_origin, require_own},
};

/// The most events that one step adds.
const PAGE: usize = 2_000;
/// The time between two reads of the end of the log, and between two checkpoints of a tree that is behind.
const INTERVAL: Duration = Duration::from_millis(250);
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// How often an unchanged tree is compared with the log, and how long an active signer of another process is left
/// alone.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
const STANDBY: Duration = Duration::from_secs(2);
/// The pause after the first failure.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How long a signer that stops tries to record what was signed last.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
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
    state: Option<SignerState>,
    /// The size of the tree when another process was last found active.
    overtaken_at: Option<u64>,
    checkpoints: u32,
    forgetful: bool,
    files: BlockingCalls,
    /// The search in the log for the origin of the tree, while nothing was signed under it and checkpoints of other
    /// origins are recorded.
    announcement: Option<AnnouncementSearch>,
}

/// The state between two steps.
struct SignerState {
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
            state: None,
            overtaken_at: None,
            checkpoints: 0,
            forgetful: false,
            files: BlockingCalls::new(1, FILE_TIMEOUT),
            announcement: None,
        }
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(MIN_PAUSE, MAX_PAUSE);
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
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.load()).await;
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
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.load().await?,
        };
        let page = self.store.stored_page(signed(state.growing.tree.last.position), PAGE).await?;
        let more = page.more && !page.events.is_empty();
        if page.events.is_empty() {
            if state.compared_at.elapsed() >= COMPARE_INTERVAL {
                self.compare(&[state.growing.tree.last]).await?;
                state.compared_at = Instant::now();
            }
        } else {
            self.grow(&mut state, page).await?;
        }
        let is_due = !more || state.signed_at.elapsed() >= CHECKPOINT_INTERVAL;
        let is_signed = state.signed.as_ref().is_some_and(|signed| signed.size == state.growing.tree.size);
        if is_due && (!is_signed || state.remembered.is_some()) {
            self.sign(&mut state, more).await?;
        }
        self.metrics.size.set(signed(state.growing.tree.size));
        self.state = Some(state);
        Ok(more)
    }

    /// Loads the newest tree, ready to grow, when no other process is active on it.
    async fn load(&mut self) -> Result<SignerState, KeepError> {
        let (tree, stored) = self.newest().await?;
        let signers = self.signers(&tree, stored.as_ref()).await?;
        let remembered = self.follow(&tree, stored.as_ref()).await?;
        if self.overtaken_at.replace(tree.size).is_some_and(|size| size != tree.size) {
            return Err(KeepError::Overtaken);
        }
        self.overtaken_at = None;
        let growing = GrowingTree::load(&self.tree, tree).await?;
        self.compare(&[growing.tree.last]).await?;
        Ok(SignerState {
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
    async fn signers(
        &self,
        tree: &Tree,
        stored: Option<&SignedCheckpoint>,
    ) -> Result<Vec<Signer>, KeepError> {
        let is_first = tree.id == 1 && tree.size == 0 && stored.is_none();
        let directory = self.keys.clone();
        let read = move || match is_first {
            true => SigningKeys::open(&directory),
            false => SigningKeys::read(&directory),
        };
        let keys = self.files.run(read).await??;
        let signers = keys.signers(&tree.origin, Algorithm::Ed25519)?;
        if signers.is_empty() {
            return Err(KeepError::StrangeKeys { directory: self.keys.clone(), origin: tree.origin.clone() });
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
        let (memory, origin) = (LastSigned::new(&self.keys), tree.origin.clone());
        let remembered = self.files.run(move || memory.checkpoint(&origin)).await??;
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

    async fn grow(&mut self, state: &mut SignerState, page: StoredPage) -> Result<(), KeepError> {
        let before = state.growing.tree.clone();
        let tiles = state.growing.extend(&page.events);
        let after = &state.growing.tree;
        // A log that has both events has all between them.
        self.compare(&[before.last, after.last]).await?;
        state.compared_at = Instant::now();
        if self.tree.grow(&before, after, &tiles).await? {
            Ok(())
        } else {
            self.overtaken_at = Some(before.size);
            Err(KeepError::Overtaken)
        }
    }

    async fn sign(&mut self, state: &mut SignerState, more: bool) -> Result<(), KeepError> {
        if !self.may_be_signed(state, more).await? {
            return Ok(());
        }
        let tree = &state.growing.tree;
        let checkpoint =
            Checkpoint { origin: tree.origin.clone(), size: tree.size, root: state.growing.root() };
        let note = checkpoint.sign(&state.signers);
        self.remember(&tree.origin, &note).await;
        self.tree.add_checkpoint(tree, &checkpoint, &note, self.clock.now()).await?;
        self.metrics.signed.set(signed(checkpoint.size));
        state.signed = Some(checkpoint);
        state.signed_at = Instant::now();
        self.checkpoints += 1;
        if self.checkpoints.is_multiple_of(CHECKPOINTS_PER_CLEANING) {
            self.tree.forget_checkpoints(tree, KEPT_CHECKPOINTS).await?;
        }
        Ok(())
    }

    /// Records a signed checkpoint beside the keys. A failure is logged once and ignored.
    async fn remember(&mut self, origin: &str, note: &Note) {
        let (memory, origin, note) = (LastSigned::new(&self.keys), origin.to_owned(), note.clone());
        let written = self.files.run(move || memory.write(&origin, &note)).await;
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
