//! Shows the progress of a long command.

use std::{
    convert::Infallible,
    fmt,
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use event_store::EventStore as _;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::time::sleep;

use crate::watched_log::WatchedLog;

/// Interval of progress lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked how far a log was read, and how long a command takes at least of which progress is shown.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Does `work`, which reads `log`, and shows meanwhile how far that is. The work never waits for what is shown, since
/// it may hold connections, and locks for which others wait.
pub(crate) async fn watch<T>(log: &WatchedLog, work: impl Future<Output = T>) -> T {
    let mut display = ProgressDisplay::new();
    let ended = tokio::select! {
        ended = work => ended,
        never = show_how_far(log, &mut display) => match never {},
    };
    display.end();
    ended
}

async fn show_how_far(log: &WatchedLog, display: &mut ProgressDisplay) -> Infallible {
    let mut head = None;
    loop {
        sleep(LOOK_INTERVAL).await;
        // Whoever cannot reach the log is told so by the work.
        if head.is_none() {
            head = log.head().await.ok();
        }
        if let Some(head) = head {
            display.show(0, log.position(), head);
        }
    }
}

/// Progress in positions of the log, or in a number of which it is not known how large it will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Position { start: u64, position: u64, head: u64 },
    Number(u64, &'static str),
}

/// Progress on the standard error, as a bar on a terminal and as lines elsewhere.
pub(crate) enum ProgressDisplay {
    Bar(ProgressBar),
    Lines { began: Instant, told: Option<Instant>, last: Option<Progress> },
}

impl ProgressDisplay {
    pub(crate) fn new() -> Self {
        Self::with_bar("{wide_bar} {human_pos}/{human_len} events  {rate}  {eta} left")
    }

    /// For [`Self::count`].
    pub(crate) fn of_a_number() -> Self {
        Self::with_bar("{spinner} {human_pos} {msg}  {rate}")
    }

    fn with_bar(template: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { began: Instant::now(), told: None, last: None };
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
                // A rate that cannot be written is left out.
                let _ = write!(out, "{:.0}/s", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        Self::Bar(bar)
    }

    /// Shows the current `position` between `start` and the `head` of the log.
    pub(crate) fn show(&mut self, start: u64, position: u64, head: u64) {
        self.update(Progress::Position { start, position, head });
    }

    /// Shows that there are so many of something by now.
    pub(crate) fn count(&mut self, number: u64, what: &'static str) {
        self.update(Progress::Number(number, what));
    }

    fn update(&mut self, progress: Progress) {
        match self {
            Self::Bar(bar) => match progress {
                Progress::Position { start, position, head } => {
                    if bar.position() == 0 && start > 0 {
                        // The rate leaves out what an earlier run has done.
                        bar.set_position(start);
                        bar.reset_eta();
                    }
                    bar.set_length(head);
                    bar.set_position(position);
                }
                Progress::Number(number, what) => {
                    bar.set_message(what);
                    bar.set_position(number);
                }
            },
            Self::Lines { began, told, last } => {
                if told.is_none_or(|told| told.elapsed() >= LINE_INTERVAL) {
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
    let per_second =
        |number: u64| number * 1_000 / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let (position, start, head) = match progress {
        Progress::Position { start, position, head } => (position, start, head),
        Progress::Number(number, what) => {
            return crate::complain(&format!("{number} {what}, {} a second", per_second(number)));
        }
    };
    let rate = per_second(position.saturating_sub(start));
    let time = match (head.saturating_sub(position), rate) {
        (0, _) => String::new(),
        (_, 0) => ", time left unknown".to_owned(),
        (left, rate) => format!(", {} s left", left.div_ceil(rate)),
    };
    crate::complain(&format!("position {position} of {head}, {rate} events/s{time}"));
}
