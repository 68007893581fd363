//! Shows each figure as a ratio to its limit, which is what the same database or broker did in the same run for a
//! hand-written program that does only the unavoidable.
//!
//! To add one, add a file with a function that returns [`Ratio`]s, and a line to [`Figure`].

mod append;
mod catch_up;
mod commands;
mod lists;
mod ratio;
mod rebuild;
mod sealing;
mod visible;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use sqlx::{Connection as _, PgConnection};

use self::ratio::Rounds;
pub(crate) use self::ratio::{Ratio, Wanted, median};
use crate::{inside, outside_only, servers};

#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Only these figures
    #[arg(value_enum)]
    figures: Vec<Figure>,
    /// How often each is measured, in turn with its limit
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each measurement of a rate
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// The store on PostgreSQL, 1, 64 and 1,024 writers
    Append,
    /// The store on SQLite, 64 writers
    AppendSqlite,
    /// The command API, 64 connections
    Commands,
    /// The same with their events in clear and sealed
    Sealing,
    /// The projector over 300,000 events
    CatchUp,
    /// `taskledger projection rebuild` of the same
    Rebuild,
    /// The query API over a million tasks, 16 connections
    Lists,
    /// From acknowledged to visible at 500 commands a second
    Visible,
}

impl Limits {
    pub(crate) fn run(&self, binary: &Path) -> anyhow::Result<()> {
        outside_only()?.block_on(durable())?;
        let rounds = Rounds { count: self.rounds, span: Duration::from_secs(self.seconds) };
        Ratio::print_head();
        for figure in Figure::value_variants() {
            if !self.figures.is_empty() && !self.figures.contains(figure) {
                continue;
            }
            match figure {
                Figure::Append => inside()?.block_on(append::postgres(rounds))?,
                Figure::AppendSqlite => inside()?.block_on(append::sqlite(rounds))?,
                Figure::Commands => inside()?.block_on(commands::run(rounds, binary))?,
                Figure::Sealing => outside_only()?.block_on(sealing::run(rounds, binary))?,
                Figure::CatchUp => inside()?.block_on(catch_up::run(rounds))?,
                Figure::Rebuild => inside()?.block_on(rebuild::run(rounds, binary))?,
                Figure::Lists => outside_only()?.block_on(lists::run(rounds, binary))?,
                Figure::Visible => inside()?.block_on(visible::run(rounds, binary))?,
            }
        }
        Ok(())
    }
}

/// Fails unless the database is durable, since the limit would be another one.
async fn durable() -> anyhow::Result<()> {
    let mut postgres =
        PgConnection::connect(&servers::postgres_url()).await.context("cannot connect to PostgreSQL")?;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar(&format!("SHOW {setting}")).fetch_one(&mut postgres).await?;
        if value != "on" {
            bail!("PostgreSQL runs with {setting} = {value}: these figures need it on");
        }
    }
    Ok(())
}
