//! The audit trail: what happened, to whom, and by whom.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use ::events::{Actor, Due, OperationOutcome, Timestamp, UserId};
use anyhow::Context;
use api_types::AuditEvent;
use clap::{Args, ValueEnum};
use database::{Database, Schema};
use query_api::audit::{AuditFilter, newest, read_on};
use serde_json::json;

use crate::{existing_database, output, platform, settings::Settings};

/// The pause between two queries for new events with `--follow`.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A position after the end of every log.
const END: u64 = i64::MAX as u64;

const HEADS: [&str; 12] = [
    "position",
    "recorded_at",
    "type",
    "stream",
    "version",
    "subject",
    "actor",
    "correlation_id",
    "event_id",
    "operation",
    "by",
    "reason",
];

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Only what this person did (an id), also by programs; or one program (`<id>/token/<id>`), `operator` or `system`
    #[arg(long)]
    actor: Option<Actor>,
    /// Only what is about this person (an id)
    #[arg(long)]
    subject: Option<UserId>,
    /// Only events of this type, for example task.created
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only events of this stream
    #[arg(long)]
    stream: Option<String>,
    /// Only what this request caused
    #[arg(long, value_name = "ID", conflicts_with = "same_request")]
    correlation_id: Option<String>,
    /// Only what was caused by the request that caused the event at this position
    #[arg(long, value_name = "POSITION")]
    same_request: Option<u64>,
    /// Only what was recorded then or later: a day or an instant
    #[arg(long, value_parser = Due::parse_start)]
    from: Option<Timestamp>,
    /// Only what was recorded earlier than that
    #[arg(long, value_parser = Due::parse_start)]
    to: Option<Timestamp>,
    /// So many of the newest
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    lines: u32,
    /// How to write it
    #[arg(long = "format", value_enum, default_value_t = Format::Table)]
    written_as: Format,
    /// Go on with what is projected, until interrupted
    #[arg(long, short)]
    follow: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// In columns
    Table,
    /// One object a line
    Json,
    /// Comma-separated values with a head (RFC 4180)
    Csv,
}

impl Log {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let read_models = &existing_database::read_models(settings).await?;
        if self.follow {
            platform::require_followable(&settings.storage, Schema::ReadModels).await?;
        }
        let filter = self.filter(read_models).await?;
        // This is read first, so that nothing that is projected later is left out when following.
        let complete = projector::completed(read_models).await?;
        let mut entries = newest(read_models, &filter, self.lines).await?;
        entries.reverse();
        self.write(&entries, true)?;
        if !self.follow {
            return Ok(ExitCode::SUCCESS);
        }
        output::while_somebody_reads(self.go_on(read_models, &filter, complete)).await
    }

    /// Shows what is projected after all partitions were at `complete`.
    async fn go_on(
        &self,
        read_models: &Database,
        filter: &AuditFilter,
        mut complete: u64,
    ) -> anyhow::Result<ExitCode> {
        // Partitions are projected independently. The positions that were shown are remembered beyond the one up to
        // which all partitions are complete.
        let (there, _) = read_on(read_models, filter, complete, END).await?;
        let mut told: BTreeSet<u64> = there.iter().map(|entry| entry.position).collect();
        loop {
            let now_complete = projector::completed(read_models).await?;
            let mut after = complete;
            loop {
                let (mut entries, reached) = read_on(read_models, filter, after, END).await?;
                entries.retain(|entry| told.insert(entry.position));
                self.write(&entries, false)?;
                after = reached;
                if after >= now_complete {
                    break;
                }
            }
            complete = now_complete;
            told = told.split_off(&(complete + 1));
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn filter(&self, read_models: &Database) -> anyhow::Result<AuditFilter> {
        let correlation_id = match self.same_request {
            None => self.correlation_id.clone(),
            Some(position) => {
                let all = AuditFilter::default();
                let (entries, _) = read_on(read_models, &all, position.saturating_sub(1), position).await?;
                let entry = entries
                    .into_iter()
                    .next()
                    .with_context(|| format!("the audit trail has no event at position {position}"))?;
                Some(entry.correlation_id)
            }
        };
        Ok(AuditFilter {
            subject: self.subject,
            actor: self.actor,
            kind: self.kind.clone(),
            stream: self.stream.clone(),
            correlation_id,
            from: self.from,
            to: self.to,
        })
    }

    fn write(&self, entries: &[AuditEvent], with_head: bool) -> anyhow::Result<()> {
        match self.written_as {
            Format::Json => {
                for entry in entries {
                    output::json(&json!(entry))?;
                }
            }
            Format::Csv => {
                if with_head {
                    output::csv(HEADS)?;
                }
                for entry in entries {
                    output::csv(cells(entry).iter().map(String::as_str))?;
                }
            }
            Format::Table if with_head => {
                let rows: Vec<_> = entries.iter().map(|entry| cells(entry).to_vec()).collect();
                output::table(&HEADS, &rows)?;
            }
            Format::Table => {
                for entry in entries {
                    output::line(&cells(entry).join("  "))?;
                }
            }
        }
        Ok(())
    }
}

fn cells(entry: &AuditEvent) -> [String; HEADS.len()] {
    let operation = entry.operation.clone().unwrap_or_default();
    let ended = operation.outcome.map(|outcome| match outcome {
        OperationOutcome::Succeeded => "succeeded",
        OperationOutcome::Failed => "failed",
    });
    let what = [operation.command.as_deref(), ended, operation.result.as_deref()];
    [
        entry.position.to_string(),
        entry.recorded_at.to_string(),
        entry.r#type.clone(),
        entry.stream.clone(),
        entry.version.to_string(),
        entry.subject.to_string(),
        entry.actor.clone(),
        entry.correlation_id.clone(),
        entry.id.to_string(),
        what.into_iter().flatten().collect::<Vec<_>>().join(": "),
        operation.by.unwrap_or_default(),
        operation.reason.unwrap_or_default(),
    ]
}
