//! Grows the tree with the log and signs checkpoints of it.
//!
//! Any number of processes may keep one tree: each transaction begins where the tree is, or does nothing. One that finds
//! another at work waits until that one stands still. A tree only ever grows by events that the log has, and before anything
//! is signed, the tree is compared with what was signed before.

use std::{path::PathBuf, sync::Arc, time::Duration};

use event_store::{EventStore, StoredPage, agrees};
use events::{EventId, LogPoint, StoredEvent};
use prometheus::IntGauge;
use runtime::{Backoff, Clock, Metrics};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transparency_log::{Algorithm, Checkpoint, Edge, Hash, Signer, TileKind, WIDTH, entry_hash, leaf_hash};

use crate::{
    AuditTree, KeepError, LastSigned, SigningKeys, Tree, origin::new_origin, reading::signed,
    tables::ChangedTile,
};

/// Events added at once.
const PAGE: usize = 2_000;
/// Between two looks at the end of the log, and between two checkpoints of a tree that is behind.
const INTERVAL: Duration = Duration::from_millis(250);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How often a tree at rest is compared with the log, and how long another process at work is left alone.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
const STANDBY: Duration = Duration::from_secs(2);
/// After failures.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// So many checkpoints of a tree are kept, and so often the older ones are deleted.
const KEPT_CHECKPOINTS: i64 = 10_000;
const CHECKPOINTS_PER_CLEANING: u32 = 100;

/// What it shows of itself.
#[derive(Debug, Clone)]
pub struct CheckpointSignerMetrics {
    size: IntGauge,
    signed: IntGauge,
    stopped: IntGauge,
}

impl CheckpointSignerMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            size: metrics.gauge("taskledger_projector_audit_tree_events", "Events in the audit tree."),
            signed: metrics.gauge(
                "taskledger_projector_audit_checkpoint_events",
                "Events in the last checkpoint of the audit tree that was signed.",
            ),
            stopped: metrics.gauge(
                "taskledger_projector_audit_stopped",
                "1 while nothing is signed because the tree and the log, or what was signed before, do not agree.",
            ),
        }
    }
}

/// Lets a tree grow, and signs checkpoints of it.
pub struct CheckpointSigner {
    tree: AuditTree,
    store: Arc<dyn EventStore>,
    keys: PathBuf,
    prefix: String,
    clock: Arc<dyn Clock>,
    metrics: CheckpointSignerMetrics,
    at_work: Option<AtWork>,
    /// Where another process was at work.
    overtaken_at: Option<u64>,
    checkpoints: u32,
    forgetful: bool,
}

/// A tree in memory, as far as it is needed to let it grow.
struct AtWork {
    tree: Tree,
    edge: Edge,
    /// The entries of the last, partial tile.
    entries: Vec<Hash>,
    signers: Vec<Signer>,
    /// What was signed last and has been compared with the tree.
    signed: Option<Checkpoint>,
    /// What was signed last according to the directory of keys, and is still to be compared.
    remembered: Option<Checkpoint>,
    signed_at: Instant,
    compared_at: Instant,
}

impl CheckpointSigner {
    /// Keeps `tree` in step with `store`. The keys are in the directory `keys`, where the first is made when there is none;
    /// `prefix` is what the name of a new tree begins with.
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
        }
    }

    /// Works until it is time to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut complaint = None;
        loop {
            let step = self.step().await;
            let said = step
                .as_ref()
                .err()
                .filter(|error| error.needs_an_operator())
                .map(ToString::to_string);
            self.metrics.stopped.set(said.is_some().into());
            let pause = match step {
                Ok(true) => {
                    backoff.reset();
                    Duration::ZERO
                }
                Ok(false) => {
                    backoff.reset();
                    INTERVAL
                }
                Err(KeepError::Overtaken) => STANDBY,
                Err(error) if error.needs_an_operator() => {
                    if said != complaint {
                        tracing::error!("{error}");
                    }
                    STANDBY
                }
                Err(error) => {
                    tracing::warn!(%error, "the audit tree cannot go on: trying again");
                    backoff.pause()
                }
            };
            complaint = said;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Adds the next events of the log, and signs if it is time to. `true` when there are more.
    ///
    /// # Errors
    /// Why nothing was done, or not all; the next call begins with what the tables hold.
    pub async fn step(&mut self) -> Result<bool, KeepError> {
        let mut at_work = match self.at_work.take() {
            Some(at_work) => at_work,
            None => self.load().await?,
        };
        let page = self
            .store
            .stored_page(signed(at_work.tree.last.position), PAGE)
            .await?;
        let more = page.more && !page.events.is_empty();
        if page.events.is_empty() {
            if at_work.compared_at.elapsed() >= COMPARE_EVERY {
                self.compare(&[at_work.tree.last]).await?;
                at_work.compared_at = Instant::now();
            }
        } else {
            self.grow(&mut at_work, page).await?;
        }
        let is_due = !more || at_work.signed_at.elapsed() >= CHECKPOINT_EVERY;
        let is_signed = at_work
            .signed
            .as_ref()
            .is_some_and(|signed| signed.size == at_work.tree.size);
        if is_due && (!is_signed || at_work.remembered.is_some()) {
            self.sign(&mut at_work, more).await?;
        }
        self.metrics.size.set(signed(at_work.tree.size));
        self.at_work = Some(at_work);
        Ok(more)
    }

    /// The newest tree, or the first one, ready to grow.
    async fn load(&mut self) -> Result<AtWork, KeepError> {
        let tree = match self.tree.newest().await? {
            Some(tree) => tree,
            None => {
                self.tree.begin(0, &new_origin(&self.prefix)).await?;
                self.tree.newest().await?.ok_or(KeepError::Overtaken)?
            }
        };
        if self
            .overtaken_at
            .replace(tree.size)
            .is_some_and(|size| size != tree.size)
        {
            return Err(KeepError::Overtaken);
        }
        self.overtaken_at = None;
        let keys = SigningKeys::open(&self.keys)?;
        let signers = keys.signers(&tree.origin, Algorithm::Ed25519)?;
        let remembered = LastSigned::new(&self.keys).read(&tree.origin)?;
        let mut tiles = Vec::new();
        for tile in Edge::tiles(tree.size) {
            let mut hashes = self.tree.hashes(tree.id, tile.kind, tile.number).await?;
            hashes.truncate(usize::try_from(tile.width).unwrap_or(usize::MAX));
            tiles.push((tile, hashes));
        }
        let edge = Edge::resume(tree.size, |wanted| {
            let found = tiles.iter_mut().find(|(tile, _)| *tile == wanted);
            found
                .map(|(_, hashes)| std::mem::take(hashes))
                .unwrap_or_default()
        })?;
        let mut entries = self
            .tree
            .hashes(tree.id, TileKind::Entries, tree.size / WIDTH)
            .await?;
        entries.truncate(usize::try_from(tree.size % WIDTH).unwrap_or_default());
        if entries.len() as u64 != tree.size % WIDTH {
            return Err(KeepError::Damaged(
                "the last tile of entries is too short".to_owned(),
            ));
        }
        self.compare(&[tree.last]).await?;
        let signed = match self.tree.last_checkpoint(&tree).await? {
            Some(signed) => {
                self.agrees_with(&tree, &signed.checkpoint).await?;
                Some(signed.checkpoint)
            }
            None => None,
        };
        Ok(AtWork {
            tree,
            edge,
            entries,
            signers,
            signed,
            remembered: remembered.map(|note| note.text.parse()).transpose()?,
            signed_at: Instant::now(),
            compared_at: Instant::now(),
        })
    }

    async fn grow(&mut self, at_work: &mut AtWork, page: StoredPage) -> Result<(), KeepError> {
        let before = at_work.tree.clone();
        let mut tiles = Vec::new();
        let mut leaves = Vec::with_capacity(page.events.len());
        let mut first_positions = Vec::new();
        for event in &page.events {
            if at_work.entries.is_empty() {
                first_positions.push((at_work.tree.size / WIDTH, event.position));
            }
            let entry = entry_hash(&event.canonical());
            leaves.push(leaf_hash(&entry.0));
            at_work.entries.push(entry);
            at_work.tree.size += 1;
            if at_work.entries.len() as u64 == WIDTH {
                tiles.push(entries_tile(
                    at_work.tree.size / WIDTH - 1,
                    std::mem::take(&mut at_work.entries),
                ));
            }
        }
        if !at_work.entries.is_empty() {
            tiles.push(entries_tile(at_work.tree.size / WIDTH, at_work.entries.clone()));
        }
        for ((level, number), hashes) in at_work.edge.extend(leaves) {
            let first = first_positions
                .iter()
                .find(|(tile, _)| level == 0 && *tile == number);
            tiles.push(ChangedTile {
                kind: TileKind::Hashes(level),
                number,
                hashes,
                first_position: first.map(|(_, position)| *position),
            });
        }
        if let Some(last) = page.events.last() {
            at_work.tree.last = point(last);
        }
        // A log that has both has what is between them.
        self.compare(&[before.last, at_work.tree.last]).await?;
        at_work.compared_at = Instant::now();
        if self.tree.grow(&before, &at_work.tree, &tiles).await? {
            Ok(())
        } else {
            self.overtaken_at = Some(before.size);
            Err(KeepError::Overtaken)
        }
    }

    async fn sign(&mut self, at_work: &mut AtWork, more: bool) -> Result<(), KeepError> {
        let tree = &at_work.tree;
        if let Some(remembered) = &at_work.remembered {
            if remembered.size > tree.size {
                // The databases may only be behind what was signed.
                return if more { Ok(()) } else { Err(KeepError::LostEnd) };
            }
            self.agrees_with(tree, remembered).await?;
            at_work.remembered = None;
        }
        let checkpoint = Checkpoint {
            origin: tree.origin.clone(),
            size: tree.size,
            root: at_work.edge.root(),
        };
        let note = checkpoint.sign(&at_work.signers);
        let (memory, origin, kept) = (LastSigned::new(&self.keys), tree.origin.clone(), note.clone());
        let written = tokio::task::spawn_blocking(move || memory.write(&origin, &kept)).await;
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

    /// Makes sure that the log has these events.
    async fn compare(&self, points: &[LogPoint]) -> Result<(), KeepError> {
        if agrees(&*self.store, points)
            .await?
            .into_iter()
            .all(|agrees| agrees)
        {
            Ok(())
        } else {
            Err(KeepError::LostEnd)
        }
    }

    /// Makes sure that the tree is the one that was signed.
    async fn agrees_with(&self, tree: &Tree, signed: &Checkpoint) -> Result<(), KeepError> {
        let fits = signed.size <= tree.size && self.tree.root_at(tree, signed.size).await? == signed.root;
        if fits {
            Ok(())
        } else {
            Err(KeepError::Forked { size: signed.size })
        }
    }
}

fn entries_tile(number: u64, hashes: Vec<Hash>) -> ChangedTile {
    ChangedTile {
        kind: TileKind::Entries,
        number,
        hashes,
        first_position: None,
    }
}

fn point(event: &StoredEvent) -> LogPoint {
    LogPoint {
        position: u64::try_from(event.position).unwrap_or_default(),
        // An id that cannot be read is that of some event, but of none that anybody can compare.
        id: Some(EventId(event.id.parse().unwrap_or_default())),
    }
}
