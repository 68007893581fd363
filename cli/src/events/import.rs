//! `taskledger events import`: an export into the log that is configured.

use std::{collections::BTreeSet, fs::File, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, bail, ensure};
use clap::Args;
use database::{ProcessLock, Schema};
use event_store::EventStore;
use log_transfer::{End, Inspection, import, inspect};
use sealing::SubjectKeys;

use crate::{
    data_dir, lost_log,
    operation::Attribution,
    output, platform,
    progress::ProgressDisplay,
    settings::{Settings, Storage},
    sole_process,
};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Complete file of `taskledger events export`
    file: PathBuf,
    /// Check everything and print what would be done, without writing anything
    #[arg(long)]
    dry_run: bool,
    /// Import events in clear unchanged, instead of sealing them
    #[arg(long)]
    as_stored: bool,
    #[command(flatten)]
    attribution: Attribution,
}

impl Import {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let storage = &settings.storage;
        let seals = storage.seal_events && !self.as_stored;
        let mut file =
            File::open(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        ensure!(
            file.metadata()?.is_file(),
            "{} is no file, and the export is read twice: first to check it",
            self.file.display()
        );
        let _locks = match self.dry_run {
            true => None,
            false => Some(lock(storage).await?),
        };
        let existing = platform::find_event_store(storage).await?;
        lost_log::refuse_to_replace(settings, existing.as_deref()).await?;
        if self.dry_run {
            self.check(settings, &mut file, existing.as_deref(), seals).await?;
            output::line("nothing was written")?;
            return Ok(ExitCode::SUCCESS);
        }

        let store = platform::event_store_to_import_into(storage).await?;
        let inspection = self.check(settings, &mut file, Some(&*store), seals).await?;
        let log = platform::event_log_of(settings, Arc::clone(&store)).await?;
        let destroyed = log.keys.destroyed(&inspection.erased).await?;
        for person in inspection.erased.difference(&destroyed) {
            log.keys.destroy(*person).await?;
        }
        let target = if seals { log.opened } else { log.stored };
        let mut display = ProgressDisplay::new();
        let tell = |events| display.show(inspection.present, events, inspection.end.events);
        let imported = import(&mut file, &inspection, &*target, tell).await;
        display.end();
        let end = imported?;
        if inspection.missing() > 0 || inspection.is_unfinished {
            // Nobody else appends before the import has ended, so events after those of the export are the record of
            // an earlier attempt.
            if !inspection.goes_on {
                self.record(settings, &*store, &inspection.end).await?;
            }
            store.note_import(None).await?;
        }
        output::say(&format!(
            "imported {} up to position {}",
            output::counted(inspection.missing(), "event"),
            end.position
        ));
        Ok(ExitCode::SUCCESS)
    }

    /// Records in the imported log that it was imported. If there is no audit tree, one begins under a new origin,
    /// since the keys here may have signed another tree where the log comes from.
    async fn record(&self, settings: &Settings, store: &dyn EventStore, end: &End) -> anyhow::Result<()> {
        let events = output::counted(end.events, "event");
        let mut result = format!("{events}, root {}", end.root);
        let tree = platform::audit_tree(&settings.storage).await?;
        if tree.newest().await?.is_none()
            && let Some(origin) = audit_tree::renew_origin(&tree, &settings.auth.audit_origin).await?
        {
            result += &format!("; {}", audit_tree::announcement(&origin));
        }
        self.attribution.record_afterwards(store, "events import", &result).await
    }

    /// Decides whether the export may be imported, and prints what becomes of it. Every reason for refusing it is
    /// checked here, before anything is written.
    async fn check(
        &self,
        settings: &Settings,
        file: &mut File,
        store: Option<&dyn EventStore>,
        seals: bool,
    ) -> anyhow::Result<Inspection> {
        let keys = platform::existing_subject_keys(settings).await?;
        let mut display = ProgressDisplay::new();
        let tell = |events| display.show(0, events, events);
        let inspected = inspect(file, store, keys.as_ref(), seals, tell).await;
        display.end();
        let inspection = inspected.with_context(|| self.file.display().to_string())?;
        let needed: BTreeSet<_> = inspection.sealed.difference(&inspection.erased).copied().collect();
        let lacking = match &keys {
            Some(keys) => keys.lacking(&needed).await?,
            None => needed,
        };
        if let Some(person) = lacking.first() {
            bail!(
                "the export has sealed events about {} whose keys are not here, such as {person}: bring the keys first, with `taskledger keys copy` or from a backup",
                people(lacking.len())
            );
        }
        if let Some(keys) = &keys {
            refuse_to_revive(keys, &inspection).await?;
        }
        let dense = store.is_none_or(EventStore::positions_are_dense);
        report(&inspection, dense)?;
        Ok(inspection)
    }
}

/// Refuses an export that would restore people who were erased after it was made.
async fn refuse_to_revive(keys: &SubjectKeys, inspection: &Inspection) -> anyhow::Result<()> {
    let living = inspection.people.difference(&inspection.erased).copied().collect();
    let destroyed = keys.destroyed(&living).await?;
    if let Some(person) = destroyed.first() {
        bail!(
            "{} whose keys are destroyed here, such as {person}, were erased after the export was made, and would be there again: import one that was made since",
            people(destroyed.len())
        );
    }
    Ok(())
}

fn report(inspection: &Inspection, dense: bool) -> anyhow::Result<()> {
    let end = &inspection.end;
    output::line(&format!(
        "the export is whole: {}, up to position {}, with the root {}",
        output::counted(end.events, "event"),
        end.position,
        end.root
    ))?;
    if inspection.present > 0 {
        let beyond = if inspection.goes_on { ", which goes on after them" } else { "" };
        output::line(&format!("the first {} are in the log already{beyond}", inspection.present))?;
    }
    if !inspection.erased.is_empty() {
        let erased = inspection.erased.len();
        let are = if erased == 1 { "is" } else { "are" };
        output::line(&format!("{} {are} erased in it: no keys are kept for them", people(erased)))?;
    }
    if inspection.stays_in_clear > 0 {
        output::line(&format!(
            "IN CLEAR: what is personal in {} stays in clear in the log, as in the export, so that nobody can be erased from it",
            output::counted(inspection.stays_in_clear, "event")
        ))?;
    }
    if inspection.sealed_on_the_way > 0 {
        output::line(&format!(
            "SEALED on the way: what is personal in {}, which are in clear in the export. Their bytes are other ones in the log, and so is the tree over it: checkpoints of the former log do not fit it",
            output::counted(inspection.sealed_on_the_way, "event")
        ))?;
    } else if !(dense && inspection.is_dense) {
        output::line(
            "OTHER POSITIONS: those of this store are its own. Order, ids, versions, times and bytes stay, but the tree over the log is another one: checkpoints of the former log do not fit it",
        )?;
    } else {
        output::line("positions and bytes stay as they are: checkpoints of the former log fit this one")?;
    }
    Ok(())
}

fn people(number: usize) -> String {
    match number {
        1 => "1 person".to_owned(),
        _ => format!("{number} people"),
    }
}

/// Locks out another import, and a system that runs in one process on the same store, where the store has such a lock,
/// until the locks are dropped. Systems with RabbitMQ may run: each part of an import is written only if the log still
/// ends where the part before ended.
async fn lock(storage: &Storage) -> anyhow::Result<(Option<File>, Option<[ProcessLock; 2]>)> {
    if storage.is_embedded()? {
        return Ok((Some(data_dir::lock(&storage.data_dir)?), None));
    }
    let operations = platform::database(storage, Schema::Operations).await?;
    Ok(match operations.postgres() {
        Some(server) => (None, Some(sole_process::lock_import(server).await?)),
        None => (None, None),
    })
}
