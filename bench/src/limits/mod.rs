//! Each figure as a ratio to its limit: what the same database or broker did in the same run for a program
//! written by hand that does nothing but the unavoidable.
//!
//! To add one, add a file with a function that returns [`Ratio`]s, and a line to [`Figure`].

mod append;
mod catch_up;
mod commands;
mod lists;
mod rebuild;
mod sealing;
mod visible;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use sqlx::{Connection as _, PgConnection};

use crate::{inside, outside_only, print, system};

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
        let rounds = Rounds {
            count: self.rounds,
            span: Duration::from_secs(self.seconds),
        };
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

/// A limit without durability would be another limit.
async fn durable() -> anyhow::Result<()> {
    let mut postgres = PgConnection::connect(&system::postgres_url())
        .await
        .context("cannot connect to PostgreSQL")?;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar(&format!("SHOW {setting}"))
            .fetch_one(&mut postgres)
            .await?;
        if value != "on" {
            bail!("PostgreSQL runs with {setting} = {value}: these figures need it on");
        }
    }
    Ok(())
}

/// How often and how long something is measured.
#[derive(Debug, Clone, Copy)]
struct Rounds {
    count: usize,
    span: Duration,
}

/// What a ratio is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// Only known: no bound is set.
    Known,
}

/// A figure and its limit, measured in turns, so that both have the same share of the machine's moods.
#[derive(Debug, Default)]
pub(crate) struct Ratio {
    measured: Vec<f64>,
    limits: Vec<f64>,
}

impl Ratio {
    /// Prints what the columns of [`Ratio::report`] are.
    pub(crate) fn print_head() {
        print(&format!(
            "{:<54} {:>10} {:>10} {:>6}  {:<11} wanted",
            "", "measured", "limit", "ratio", "of rounds"
        ));
    }

    pub(crate) fn add(&mut self, measured: f64, limit: f64) {
        self.measured.push(measured);
        self.limits.push(limit);
    }

    /// Prints the medians, their ratio, and the lowest and highest ratio of a round.
    pub(crate) fn report(self, name: &str, unit: &str, wanted: Wanted) {
        let mut ratios: Vec<f64> = self
            .measured
            .iter()
            .zip(&self.limits)
            .map(|(m, l)| m / l)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (Some(lowest), Some(highest)) = (ratios.first(), ratios.last()) else {
            return;
        };
        let span = format!("{lowest:.2}-{highest:.2}");
        let (measured, limit) = (median(self.measured), median(self.limits));
        let ratio = measured / limit;
        let (wanted, held) = match wanted {
            Wanted::AtLeast(bound) => (format!("at least {bound}"), ratio >= bound),
            Wanted::AtMost(bound) => (format!("at most {bound}"), ratio <= bound),
            Wanted::Known => (String::new(), true),
        };
        let verdict = if held { "" } else { "  MISSED" };
        let figures = |value: f64| match unit {
            "ms" => format!("{value:.2} ms"),
            "s" => format!("{value:.2} s"),
            unit => format!("{value:.0}{unit}"),
        };
        print(&format!(
            "{name:<54} {:>10} {:>10} {ratio:>6.2}  {span:<11} {wanted}{verdict}",
            figures(measured),
            figures(limit)
        ));
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
