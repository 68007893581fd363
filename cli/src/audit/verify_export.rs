//! Verifies an export of the log with checkpoints, without a system.

use std::{
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, ensure};
use audit_tree::{DroppedEvents, EventHeader, KeptRecords, Verification};
use log_transfer::{ExportedEvent, Line, read_line};
use transparency_log::{Checkpoint, Edge, entry_hash, leaf_hash};

use super::input::open;

/// The most differences that are reported.
const MAX_DIFFERENCES: usize = 10;

/// Computes the tree over the lines of an export and compares its roots with the checkpoints. The positions in the
/// lines show which event is missing or misplaced. Which event was changed is known only up to the checkpoints around
/// it.
pub(super) fn verify_export(path: &Path, mut kept: KeptRecords) -> anyhow::Result<Verification> {
    ensure!(
        kept.checkpoints.iter().all(|it| it.origin == kept.checkpoints[0].origin),
        "the checkpoints are of several logs"
    );
    kept.checkpoints.sort_by_key(|checkpoint| checkpoint.size);
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(open(path)?))
    };
    let mut check = ExportCheck::new(&kept);
    let mut line = Vec::new();
    for number in 1.. {
        read_line(&mut reader, number, &mut line)?;
        if line.is_empty() {
            break;
        }
        let text = std::str::from_utf8(&line).with_context(|| format!("line {number} of the export"))?;
        match Line::parse(text.trim_end_matches(['\r', '\n'])) {
            // The last line says no more than the checkpoints, and is not signed.
            Ok(Line::End(_)) => {}
            Ok(Line::Event(event)) => check.push(number, *event),
            Err(error) => {
                check.differs(None, format!("line {number}: {error}"));
                break;
            }
        }
    }
    Ok(check.finish())
}

/// The results of the lines that were read.
struct ExportCheck<'a> {
    kept: &'a KeptRecords,
    /// The checkpoints that are not reached yet, the smallest first.
    next: &'a [Checkpoint],
    edge: Edge,
    report: Verification,
    dropped: DroppedEvents,
    /// The size of the last checkpoint that agrees with the export.
    last_right: u64,
    /// The position of the last event.
    before: Option<i64>,
    /// The first position that has no event.
    gap: Option<i64>,
}

impl<'a> ExportCheck<'a> {
    fn new(kept: &'a KeptRecords) -> Self {
        let mut check = Self {
            kept,
            next: &kept.checkpoints,
            edge: Edge::default(),
            report: Verification { origin: kept.checkpoints[0].origin.clone(), ..Verification::default() },
            dropped: DroppedEvents::default(),
            last_right: 0,
            before: None,
            gap: None,
        };
        check.compare_root();
        check
    }

    /// Adds the event of a line.
    fn push(&mut self, line: u64, exported: ExportedEvent) {
        let entry = entry_hash(&exported.event.canonical());
        self.edge.extend([leaf_hash(&entry.0)]);
        let report = &mut self.report;
        report.events += 1;
        report.withheld += u64::from(exported.is_withheld());
        report.dropped += u64::from(exported.data_dropped);
        report.shown += u64::from(exported.data_dropped && self.kept.entries.contains(&entry));
        let position = exported.event.position;
        if let Some(stored) = exported.stored() {
            self.dropped.push(&EventHeader::of(&stored));
        }
        self.check_order(line, position);
        self.compare_root();
    }

    fn check_order(&mut self, line: u64, position: i64) {
        if self.before.is_some_and(|before| position <= before) || position < 1 {
            let what = format!("line {line}: the event at position {position} is not in order");
            self.differs(Some(position), what);
        }
        let expected = self.before.map_or(1, |before| before + 1);
        if expected != position {
            self.gap.get_or_insert(expected);
        }
        self.before = Some(position);
    }

    /// Compares the root with the checkpoints of this size.
    fn compare_root(&mut self) {
        while let [checkpoint, later @ ..] = self.next
            && checkpoint.size == self.edge.size()
        {
            self.next = later;
            if checkpoint.root == self.edge.root() {
                self.report.checkpoints += 1;
                self.report.size = checkpoint.size;
                self.last_right = checkpoint.size;
            } else {
                self.report.differences.push(format!(
                    "the export is not the log of the checkpoint of {} events; the last one that fits has {}",
                    checkpoint.size, self.last_right
                ));
            }
        }
    }

    fn differs(&mut self, position: Option<i64>, what: String) {
        let report = &mut self.report;
        report.first_difference = report.first_difference.or(position);
        if report.differences.len() < MAX_DIFFERENCES {
            report.differences.push(what);
        }
    }

    fn finish(mut self) -> Verification {
        let events = self.report.events;
        if let Some(missing) = self.next.first() {
            self.report
                .differences
                .push(format!("the export has {events} events, the checkpoint {}", missing.size));
        }
        // A gap alone is no difference, since positions in KurrentDB always have gaps.
        let explains = !self.report.differences.is_empty() && self.report.first_difference.is_none();
        if let Some(gap) = self.gap.filter(|_| explains) {
            self.differs(Some(gap), format!("no event stands at position {gap}"));
        }
        // An export may end before the event that ended a stream.
        self.report.add_dropped(self.dropped, false);
        self.report
    }
}
