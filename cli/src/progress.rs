//! Shows the progress of a long command.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Interval of progress lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress in positions of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    start: u64,
    position: u64,
    head: u64,
}

/// Progress on the standard error, as a bar on a terminal and as lines elsewhere.
pub(crate) enum ProgressDisplay {
    Bar(ProgressBar),
    Lines {
        began: Instant,
        told: Option<Instant>,
        last: Option<Progress>,
    },
}

impl ProgressDisplay {
    pub(crate) fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines {
                began: Instant::now(),
                told: None,
                last: None,
            };
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} events  {per_sec}  {eta} left")
        {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// Shows the current `position` between `start` and the `head` of the log.
    pub(crate) fn show(&mut self, start: u64, position: u64, head: u64) {
        let progress = Progress {
            start,
            position,
            head,
        };
        match self {
            Self::Bar(bar) => {
                if bar.position() == 0 && progress.start > 0 {
                    // The rate leaves out what an earlier run has done.
                    bar.set_position(progress.start);
                    bar.reset_eta();
                }
                bar.set_length(progress.head);
                bar.set_position(progress.position);
            }
            Self::Lines { began, told, last } => {
                if told.is_none_or(|told| told.elapsed() >= LINE_EVERY) {
                    *told = Some(Instant::now());
                    tell(progress, began.elapsed());
                    *last = None;
                } else {
                    *last = Some(progress);
                }
            }
        }
    }

    /// Ends the display, after success or failure.
    pub(crate) fn end(&mut self) {
        match self {
            Self::Bar(bar) => bar.finish(),
            Self::Lines { began, last, .. } => {
                if let Some(progress) = last.take() {
                    tell(progress, began.elapsed());
                }
            }
        }
    }
}

fn tell(progress: Progress, elapsed: Duration) {
    let done = progress.position.saturating_sub(progress.start);
    let rate = done * 1_000 / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let left = progress.head.saturating_sub(progress.position);
    let time = match (left, rate) {
        (0, _) => String::new(),
        (_, 0) => ", time left unknown".to_owned(),
        (left, rate) => format!(", {} s left", left.div_ceil(rate)),
    };
    crate::complain(&format!(
        "position {} of {}, {rate} events/s{time}",
        progress.position, progress.head
    ));
}
