//! What the measurements say.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of figures so far that miss what is wanted of them.
static MISSES: AtomicUsize = AtomicUsize::new(0);

/// The end of the line of a figure, which says if the figure misses what is wanted of it.
pub(crate) fn verdict(holds: bool) -> &'static str {
    if holds {
        return "";
    }
    MISSES.fetch_add(1, Ordering::Relaxed);
    "  MISSED"
}

pub(crate) fn misses() -> usize {
    MISSES.load(Ordering::Relaxed)
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}
