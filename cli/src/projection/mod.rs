//! Lists, verifies, rebuilds and rolls back the read models.

mod rebuild;

use std::process::ExitCode;

use clap::Subcommand;
use rebuild::BEHIND;
use serde_json::json;

use crate::{
    existing_database, existing_log, output, progress::watch, settings::Settings, watched_log::WatchedLog,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the read models with the number of their rows
    List {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show how far each partition has been projected, and what is parked
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Compare the read models with a fold of the log; exit code 1 if they differ, 3 if they are behind
    ///
    /// They are behind if the projection has not reached the end of the log, or if streams are parked.
    /// May run beside a running system. Without --sample it folds the whole log in memory.
    Verify {
        /// Compare this number of random tasks, accounts and sessions with a fold of their streams
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        sample: Option<u64>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Build the read models again from the log while the live ones serve, then let the new ones take over
    ///
    /// Can be interrupted and run again to continue. The previous tables are kept for `projection rollback`.
    Rebuild(rebuild::Rebuild),
    /// Bring the tables of before the last rebuild up to date, and use them again
    Rollback(rebuild::Rollback),
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { json } => list(settings, json).await,
        Command::Status { json } => status(settings, json).await,
        Command::Rebuild(rebuild) => rebuild.run(settings).await,
        Command::Rollback(rollback) => rollback.run(settings).await,
        Command::Verify { sample, json } => {
            let store = WatchedLog::over(existing_log::opened_event_store(settings).await?);
            let read_models = existing_database::read_models(settings).await?;
            let report = match sample {
                Some(sample) => {
                    let sample = usize::try_from(sample)?;
                    projector::verify_sample(&*store, &read_models, sample).await?
                }
                None => watch(&store, projector::verify(&*store, &read_models)).await?,
            };
            answer(&report, json)
        }
    }
}

async fn list(settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let read_models = existing_database::read_models(settings).await?;
    let tables = projector::tables(&read_models).await?;
    if json {
        let tables: Vec<_> = tables
            .iter()
            .map(|table| json!({"name": table.name, "rows": table.rows, "about": table.about}))
            .collect();
        output::json(&json!({ "tables": tables }))?;
    } else {
        let rows: Vec<Vec<String>> = tables
            .iter()
            .map(|table| vec![table.name.to_owned(), table.rows.to_string(), table.about.to_owned()])
            .collect();
        output::table(&["table", "rows", "what"], &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let store = existing_log::event_store(settings).await?;
    let read_models = existing_database::read_models(settings).await?;
    let status = projector::status(store.as_ref(), &read_models, settings.storage.partitions).await?;
    if json {
        let partitions: Vec<_> = status
            .partitions
            .iter()
            .map(|it| {
                json!({
                    "partition": it.partition,
                    "checkpoint": it.checkpoint,
                    "lag": status.lag(it),
                    "parked": it.parked,
                })
            })
            .collect();
        output::json(&json!({ "head": status.head, "partitions": partitions }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("head of the log  {}\n", status.head))?;
    let rows: Vec<Vec<String>> = status
        .partitions
        .iter()
        .map(|it| {
            let numbers = [u64::from(it.partition), it.checkpoint, status.lag(it), it.parked];
            numbers.iter().map(ToString::to_string).collect()
        })
        .collect();
    output::table(&["partition", "checkpoint", "lag", "parked"], &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn answer(report: &projector::Report, json: bool) -> anyhow::Result<ExitCode> {
    let equal = report.differences.is_empty();
    if json {
        let mut answer = json!({
            "equal": equal,
            "behind": report.behind,
            "position": report.position,
            "events": report.events,
            "history": report.history,
            "audit": report.audit,
            "parked": report.parked,
            "parked_streams": report.parked_streams,
            "left_by_drop": report.left_by_drop,
            "differences": report.differences,
        });
        for (table, rows) in report.rows() {
            answer[table] = rows.into();
        }
        output::json(&answer)?;
    } else {
        for difference in &report.differences {
            output::line(difference)?;
        }
        if report.behind > 0 {
            output::line(
                "nothing was compared: try again when the projector has caught up. While the system is stopped, what commands \
                 have recorded of themselves is projected by its next start",
            )?;
            return Ok(ExitCode::from(BEHIND));
        }
        if report.left_by_drop > 0 {
            output::line(&format!(
                "{} of events that were dropped from the log: `taskledger events drop` was broken off there. To take them away, \
                 give it again with the same file, or rebuild the read models",
                output::counted(report.left_by_drop, "row")
            ))?;
        }
        let mut compared: Vec<_> = report
            .rows()
            .into_iter()
            .map(|(table, rows)| output::counted(rows, table.trim_end_matches('s')))
            .collect();
        compared.push(output::counted(report.audit, "audit row"));
        output::line(&format!(
            "{} with the log up to position {}{}: compared {}",
            if equal { "equal" } else { "NOT equal" },
            report.position,
            but_for_parked(report),
            compared.join(", "),
        ))?;
    }
    Ok(if report.behind > 0 || (equal && report.parked_streams > 0) {
        ExitCode::from(BEHIND)
    } else if equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Names the parked streams, which end before the log does.
fn but_for_parked(report: &projector::Report) -> String {
    match report.parked_streams {
        0 => String::new(),
        streams => format!(
            ", but for what is parked of {} (`taskledger parked list` shows it)",
            output::counted(streams, "stream")
        ),
    }
}
