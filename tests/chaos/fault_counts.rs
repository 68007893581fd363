//! Counts how often each fault was injected, for each seed and in total.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{Report, recovery::LongestWait};

#[derive(Default)]
pub(crate) struct FaultCounts {
    seeds: usize,
    seconds: f64,
    commands: usize,
    events: usize,
    hang_ups: usize,
    ended_sessions: usize,
    checkpoints: usize,
    /// How often each fault struck each of its targets.
    struck: BTreeMap<&'static str, BTreeMap<String, usize>>,
    refused_writes: BTreeMap<String, usize>,
    /// Why faults could not be injected.
    excuses: BTreeMap<String, usize>,
    longest_wait: LongestWait,
}

impl FaultCounts {
    /// Adds a successful run, and prints it.
    pub(crate) fn add(&mut self, seed: u64, took: Duration, report: &Report) {
        self.seeds += 1;
        self.seconds += took.as_secs_f64();
        self.commands += report.commands;
        self.events += report.events;
        self.hang_ups += report.hang_ups;
        self.checkpoints += report.checkpoints;
        self.ended_sessions += report.ended_sessions;
        for (name, target) in &report.struck {
            let targets = self.struck.entry(name).or_default();
            *targets.entry(target.clone().unwrap_or_default()).or_default() += 1;
        }
        for (table, count) in &report.refused_writes {
            *self.refused_writes.entry(table.clone()).or_default() += count;
        }
        for excuse in &report.excuses {
            *self.excuses.entry(excuse.clone()).or_default() += 1;
        }
        let names: Vec<_> = report.struck.iter().map(|(name, _)| *name).collect();
        eprintln!(
            "seed {seed}: {:.1} s, {} commands, {} events, longest recovery {}; {}",
            took.as_secs_f64(),
            report.commands,
            report.events,
            report.longest_wait,
            names.join(", ")
        );
        self.longest_wait = self.longest_wait.clone().max(report.longest_wait.clone());
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seeds,
            seconds,
            commands,
            events,
            hang_ups,
            ended_sessions,
            checkpoints,
            struck,
            refused_writes,
            excuses,
            longest_wait,
        } = self;
        writeln!(
            f,
            "{seeds} seeds without a violation in {seconds:.0} s: {commands} commands, {events} events"
        )?;
        writeln!(f, "longest recovery: {longest_wait}")?;
        writeln!(f, "{hang_ups:>6} × hang up")?;
        writeln!(f, "{ended_sessions:>6} × an ended session is refused")?;
        writeln!(f, "{checkpoints:>6} × a kept checkpoint is proved")?;
        for (name, targets) in struck {
            counted(f, name, targets)?;
        }
        if !refused_writes.is_empty() {
            counted(f, "a full disk refuses a write", refused_writes)?;
        }
        for (excuse, count) in excuses {
            writeln!(f, "{count:>6} × not: {excuse}")?;
        }
        Ok(())
    }
}

/// One line with the total, and the count of each part that has a name.
fn counted(f: &mut fmt::Formatter<'_>, name: &str, parts: &BTreeMap<String, usize>) -> fmt::Result {
    write!(f, "{:>6} × {name}", parts.values().sum::<usize>())?;
    let named = parts.iter().filter(|(part, _)| !part.is_empty());
    let named: Vec<_> = named.map(|(part, count)| format!("{part} {count}")).collect();
    match named.is_empty() {
        true => writeln!(f),
        false => writeln!(f, " ({})", named.join(", ")),
    }
}
