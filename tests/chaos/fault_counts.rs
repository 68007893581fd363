//! Counts how often each fault was injected, for each seed and in total.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{Report, schedule::Fault};

#[derive(Default)]
pub(crate) struct FaultCounts {
    seeds: usize,
    seconds: f64,
    commands: usize,
    events: usize,
    hang_ups: usize,
    ended_sessions: usize,
    struck: BTreeMap<&'static str, usize>,
}

impl FaultCounts {
    /// Adds a successful run, and prints it.
    pub(crate) fn add(&mut self, seed: u64, took: Duration, report: &Report) {
        self.seeds += 1;
        self.seconds += took.as_secs_f64();
        self.commands += report.commands;
        self.events += report.events;
        self.hang_ups += report.hang_ups;
        self.ended_sessions += report.ended_sessions;
        for name in &report.struck {
            *self.struck.entry(name).or_default() += 1;
        }
        eprintln!(
            "seed {seed}: {:.1} s, {} commands, {} events; {}",
            took.as_secs_f64(),
            report.commands,
            report.events,
            report.struck.join(", ")
        );
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
            struck,
        } = self;
        writeln!(
            f,
            "{seeds} seeds without a violation in {seconds:.0} s: {commands} commands, {events} events"
        )?;
        writeln!(f, "{hang_ups:>6} × hang up")?;
        writeln!(f, "{ended_sessions:>6} × an ended session is refused")?;
        for name in Fault::NAMES {
            writeln!(f, "{:>6} × {name}", struck.get(name).unwrap_or(&0))?;
        }
        Ok(())
    }
}
