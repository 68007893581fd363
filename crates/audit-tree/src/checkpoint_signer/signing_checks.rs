//! The checks before a tree is signed: the log has the tree's events, and earlier checkpoints are of this tree.

use std::time::Duration;

use event_store::has_all;
use events::LogPoint;
use tokio::time::Instant;
use transparency_log::Checkpoint;

use super::{CheckpointSigner, SignerState};
use crate::{
    KeepError, LastSigned, Tree,
    origin::{Announced, AnnouncementSearch, require_own},
};

/// How long the log is searched in one step. The signer may have to stop, and the tree has to grow meanwhile.
const SEARCH_TIME: Duration = Duration::from_secs(1);

impl CheckpointSigner {
    /// Whether the tree has grown to the size of its last checkpoint, before which it cannot be signed. `more` says
    /// that the log has events which the tree does not have yet.
    pub(super) async fn may_be_signed(
        &mut self,
        state: &mut SignerState,
        more: bool,
    ) -> Result<bool, KeepError> {
        let tree = &state.growing.tree;
        if state.signed.is_none() && state.remembered.is_none() {
            match self.is_known(&tree.origin).await {
                // The announcing event is probably near the end of the log.
                Err(KeepError::Unannounced { .. }) if more => return Ok(false),
                Ok(false) => return Ok(false),
                is_known => is_known?,
            };
        }
        if let Some(remembered) = &state.remembered {
            if remembered.size > tree.size {
                // The databases may only be behind the checkpoint.
                return if more { Ok(false) } else { Err(KeepError::LostEnd) };
            }
            self.agrees_with(tree, remembered).await?;
            state.remembered = None;
        }
        if let Some(stored) = self.tree.last_checkpoint(tree).await? {
            require_own(&stored, &state.signers, &self.keys)?;
            if stored.checkpoint.size > tree.size {
                return Err(KeepError::Overtaken);
            }
            if state.signed.as_ref() != Some(&stored.checkpoint) {
                self.agrees_with(tree, &stored.checkpoint).await?;
            }
        }
        Ok(true)
    }

    /// Checks that an origin with no recorded checkpoint may be signed: these keys have never signed anything, or an
    /// event of the log announces the origin. `false` while a part of the log has not been searched for it.
    async fn is_known(&mut self, origin: &str) -> Result<bool, KeepError> {
        let memory = LastSigned::new(&self.keys);
        let before = self.files.run(move || memory.any_origin()).await??;
        let Some(before) = before.filter(|before| before != origin) else {
            return Ok(true);
        };
        let search = self.announcement.take_if(|search| search.is_of(origin));
        let mut search = search.unwrap_or_else(|| AnnouncementSearch::of(origin));
        let announced = search.go_on(&*self.store, Instant::now() + SEARCH_TIME).await?;
        self.announcement = Some(search);
        match announced {
            Announced::Yes => Ok(true),
            Announced::Unknown => Ok(false),
            Announced::No => Err(KeepError::Unannounced {
                origin: origin.to_owned(),
                before,
                directory: self.keys.clone(),
            }),
        }
    }

    /// Checks that the log has these events.
    pub(super) async fn compare(&self, points: &[LogPoint]) -> Result<(), KeepError> {
        match has_all(&*self.store, points).await? {
            true => Ok(()),
            false => Err(KeepError::LostEnd),
        }
    }

    /// Checks that the tree is the one that was signed.
    pub(super) async fn agrees_with(&self, tree: &Tree, signed: &Checkpoint) -> Result<(), KeepError> {
        let fits = signed.size <= tree.size && self.tree.root_at(tree, signed.size).await? == signed.root;
        if fits { Ok(()) } else { Err(KeepError::Forked { size: signed.size }) }
    }
}
