//! Makes the proof that an event is in the log.

use std::process::ExitCode;

use ::events::StoredEvent;
use anyhow::Context;
use clap::Args;

use crate::{existing_database, existing_log, output, settings::Settings};

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The event's position in the log
    position: u64,
    /// Put into the proof what the log says of the event, so that it is a receipt that is checked without anything else
    #[arg(long)]
    receipt: bool,
}

impl Prove {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let store = existing_log::event_store(settings).await?;
        let audit = existing_database::audit_tree(settings).await?;
        let tree = audit.require_newest().await?;
        let signed = audit.last_checkpoint(&tree).await?.context("no checkpoint was signed yet")?;
        let proof = match audit.index_of(&tree, &*store, self.position).await? {
            Some(index) => audit.inclusion(&tree, index, &signed).await?,
            None => None,
        };
        let Some(proof) = proof else {
            crate::complain(&format!("the last checkpoint has no event at position {}", self.position));
            return Ok(ExitCode::FAILURE);
        };
        let mut proof = proof;
        if self.receipt {
            let event = store.stored_at(self.position).await?;
            proof.extra = event.as_ref().map(StoredEvent::canonical);
        }
        output::text(&proof.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}
