//! What is checked before a tree is signed: that the log has its events, and that it is the tree that was signed before.

use event_store::agrees;
use events::LogPoint;
use transparency_log::Checkpoint;

use super::{AtWork, CheckpointSigner};
use crate::{
    KeepError, LastSigned, Tree,
    origin::{AnnouncementSearch, require_own},
};

impl CheckpointSigner {
    /// Whether the tree can be signed already: not before it has grown as far as what was signed of it. `more` says that the log
    /// has events which the tree does not have yet.
    pub(super) async fn may_be_signed(
        &mut self,
        at_work: &mut AtWork,
        more: bool,
    ) -> Result<bool, KeepError> {
        let tree = &at_work.growing.tree;
        if at_work.signed.is_none() && at_work.remembered.is_none() {
            let is_known = self.is_known(&tree.origin).await;
            if more && matches!(is_known, Err(KeepError::Unannounced { .. })) {
                // The announcing event is probably near the end of the log.
                return Ok(false);
            }
            is_known?;
        }
        if let Some(remembered) = &at_work.remembered {
            if remembered.size > tree.size {
                // The databases may only be behind the checkpoint.
                return if more { Ok(false) } else { Err(KeepError::LostEnd) };
            }
            self.agrees_with(tree, remembered).await?;
            at_work.remembered = None;
        }
        if let Some(stored) = self.tree.last_checkpoint(tree).await? {
            require_own(&stored, &at_work.signers, &self.keys)?;
            if stored.checkpoint.size > tree.size {
                return Err(KeepError::Overtaken);
            }
            if at_work.signed.as_ref() != Some(&stored.checkpoint) {
                self.agrees_with(tree, &stored.checkpoint).await?;
            }
        }
        Ok(true)
    }

    /// Checks that an origin with no recorded checkpoint may be signed: these keys have never signed anything, or an
    /// event of the log announces the origin.
    async fn is_known(&mut self, origin: &str) -> Result<(), KeepError> {
        let memory = LastSigned::new(&self.keys);
        let Some(before) = memory.any_origin()?.filter(|before| before != origin) else {
            return Ok(());
        };
        let search = self.announcement.take_if(|search| search.is_of(origin));
        let mut search = search.unwrap_or_else(|| AnnouncementSearch::of(origin));
        let is_announced = search.finds_it(&*self.store).await?;
        self.announcement = Some(search);
        match is_announced {
            true => Ok(()),
            false => Err(KeepError::Unannounced {
                origin: origin.to_owned(),
                before,
                directory: self.keys.clone(),
            }),
        }
    }

    /// Checks that the log has these events.
    pub(super) async fn compare(&self, points: &[LogPoint]) -> Result<(), KeepError> {
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

    /// Checks that the tree is the one that was signed.
    pub(super) async fn agrees_with(&self, tree: &Tree, signed: &Checkpoint) -> Result<(), KeepError> {
        let fits = signed.size <= tree.size && self.tree.root_at(tree, signed.size).await? == signed.root;
        if fits {
            Ok(())
        } else {
            Err(KeepError::Forked { size: signed.size })
        }
    }
}
