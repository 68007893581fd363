//! Rebuilds the read models while the old ones serve, and rolls a rebuild back.

use std::{path::Path, process::ExitCode, sync::Arc};

use clap::Args;
use database::Schema;
use event_store::EventStore;
use projector::{Progress, RebuildError, Tuning};
use tokio_util::sync::CancellationToken;

use crate::{
    confirmation::Confirmation,
    deleted_file, existing_log,
    operation::{Attribution, Conclusion},
    output, platform,
    progress::{ProgressDisplay, watch},
    serving,
    settings::Settings,
    watched_log::WatchedLog,
};

/// The exit code for read models that have not reached the end of the log, or not in every stream, or are not used yet.
/// Exit code 2 is for wrong usage.
pub(super) const BEHIND: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// Compare the new tables with the live ones before they take over, and stop with exit code 1 if they differ
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    confirmation: Confirmation,
    /// Discard an interrupted rebuild instead of continuing it
    #[arg(long)]
    restart: bool,
    /// Let the new tables take over even if more streams are parked in them than in the live ones
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    attribution: Attribution,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    confirmation: Confirmation,
    /// Let the previous tables take over even if more streams are parked in them than in the live ones
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    attribution: Attribution,
}

impl Rebuild {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.confirmation.is_out_of_reach() {
            crate::complain("nobody is there to answer whether the new tables may take over: say --yes");
            return Ok(ExitCode::from(2));
        }
        let store = existing_log::opened_event_store(settings).await?;
        let url = platform::database_url(&settings.storage, Schema::ReadModels)?;
        let deleted = deleted_file::still_open(&url).await;
        let rebuild = open(settings, Arc::clone(&store), self.force).await?;
        let act = async |_| self.carry_out(&rebuild, deleted.as_deref()).await;
        let attribution = &self.attribution;
        let code = attribution.record(settings, &*store, "projection rebuild", act).await;
        rebuild.close().await;
        code
    }

    /// `deleted` is the deleted file of the live tables, if a process still uses it.
    async fn carry_out(
        &self,
        rebuild: &projector::Rebuild,
        deleted: Option<&Path>,
    ) -> anyhow::Result<Conclusion> {
        if self.restart {
            rebuild.restart().await?;
        }
        let stop = CancellationToken::new();
        runtime::spawn("signals to stop", {
            let stop = stop.clone();
            async move {
                if serving::wait_for_signal().await.is_ok() {
                    stop.cancel();
                }
            }
        });
        let mut display = ProgressDisplay::new();
        let mut last = Progress { start: 0, position: 0, head: 0 };
        let complete = rebuild
            .build(&stop, |progress| {
                display.show(progress.start, progress.position, progress.head);
                last = progress;
            })
            .await;
        display.end();
        if !complete? {
            crate::complain(&format!(
                "interrupted at position {} of {}: the live tables are as they were; run it again to go on from there",
                last.position, last.head
            ));
            return Ok(Conclusion::failed());
        }
        let Some(refused) = stop.run_until_cancelled(self.refused(rebuild)).await else {
            return Ok(interrupted());
        };
        if let Some(refused) = refused? {
            return Ok(refused);
        }
        let position = match rebuild.swap(&stop).await {
            Err(RebuildError::Interrupted) => return Ok(interrupted()),
            swapped => swapped?,
        };
        let conclusion = Conclusion::succeeded().with_result(format!("at position {position}"));
        if let Some(open) = deleted {
            crate::complain(&format!(
                "the rebuilt tables are complete, at position {position}, but a process still uses the file that was deleted, \
                 as {}: restart it",
                open.display()
            ));
            return Ok(conclusion.with_exit_code(ExitCode::from(BEHIND)));
        }
        output::say(&format!(
            "the rebuilt tables are in use, at position {position}; `taskledger projection rollback` goes back"
        ));
        Ok(conclusion)
    }

    /// Why the new tables must not take over, if they must not.
    async fn refused(&self, rebuild: &projector::Rebuild) -> anyhow::Result<Option<Conclusion>> {
        if self.verify && !compare(rebuild).await? {
            crate::complain(
                "the new tables differ from the live ones, which are as they were; without --verify the new ones take over",
            );
            return Ok(Some(Conclusion::failed()));
        }
        let question = "The new tables are complete. Let them take over?";
        if !self.confirmation.is_given(question).await? {
            output::say("the live tables are as they were; run it again to bring the new ones up to date");
            return Ok(Some(Conclusion::failed().with_result("not wanted")));
        }
        Ok(None)
    }
}

fn interrupted() -> Conclusion {
    crate::complain(
        "interrupted: the live tables are as they were; run it again to bring the new ones up to date",
    );
    Conclusion::failed()
}

impl Rollback {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.confirmation.is_out_of_reach() {
            crate::complain("nobody is there to answer whether the previous tables may take over: say --yes");
            return Ok(ExitCode::from(2));
        }
        let store = WatchedLog::over(existing_log::opened_event_store(settings).await?);
        let rebuild = open(settings, store.clone(), self.force).await?;
        let code = self.carry_out(settings, &store, &rebuild).await;
        rebuild.close().await;
        code
    }

    async fn carry_out(
        &self,
        settings: &Settings,
        store: &WatchedLog,
        rebuild: &projector::Rebuild,
    ) -> anyhow::Result<ExitCode> {
        rebuild.require_previous().await?;
        self.confirmation.ask("Let the previous tables take over again?").await?;
        let act = async |_| {
            let position = watch(store, rebuild.rollback()).await?;
            output::say(&format!(
                "the previous tables are in use again, brought up to position {position}; another rollback undoes this one"
            ));
            Ok(Conclusion::succeeded().with_result(format!("at position {position}")))
        };
        self.attribution.record(settings, store, "projection rollback", act).await
    }
}

async fn open(
    settings: &Settings,
    store: Arc<dyn EventStore>,
    accepts_more_parked: bool,
) -> anyhow::Result<projector::Rebuild> {
    let storage = &settings.storage;
    let url = platform::database_url(storage, Schema::ReadModels)?;
    let rebuild = projector::Rebuild::open(&url, store, storage.partitions, Tuning::default()).await?;
    Ok(rebuild.accepting_more_parked(accepts_more_parked))
}

async fn compare(rebuild: &projector::Rebuild) -> anyhow::Result<bool> {
    let mut display = ProgressDisplay::of_a_number();
    let comparison = rebuild.compare(|rows| display.count(rows, "rows")).await;
    display.end();
    let comparison = comparison?;
    let rows: Vec<Vec<String>> = comparison
        .tables
        .iter()
        .map(|table| {
            let [live, rebuilt] = table.digests.each_ref().map(|digest| digest.chars().take(16).collect());
            vec![table.name.to_owned(), table.rows.to_string(), table.moved.to_string(), live, rebuilt]
        })
        .collect();
    output::print(&output::aligned(&["table", "rows", "moved on", "live", "rebuilt"], &rows));
    for difference in &comparison.differences {
        output::say(difference);
    }
    Ok(comparison.differences.is_empty())
}
