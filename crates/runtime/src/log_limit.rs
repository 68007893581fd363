//! Limits how often the log tells of what may happen very often.

use std::{mem, time::Duration};

use tokio::time::Instant;

/// Counts what a line in the log tells of, at most once every [`LogLimit::INTERVAL`].
#[derive(Debug, Default)]
pub struct LogLimit {
    count: usize,
    logged: Option<Instant>,
}

impl LogLimit {
    /// The shortest time between two lines.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    /// Counts `more`. Returns how many there were since the last line in the log, if it is time for the next line.
    pub fn count(&mut self, more: usize) -> Option<usize> {
        self.count += more;
        if self.logged.is_some_and(|logged| logged.elapsed() < Self::INTERVAL) {
            return None;
        }
        self.logged = Some(Instant::now());
        Some(mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happens_often_is_logged_now_and_then_and_nothing_is_left_out() {
        let mut limit = LogLimit::default();
        let mut logged = Vec::new();
        // What happens after the last line is told with the next one.
        for _ in 0..=20 {
            logged.extend(limit.count(1));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(logged, [1, 10, 10]);
    }
}
