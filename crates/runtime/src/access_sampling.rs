//! Chooses the lines of the access log that are written: all about errors and slow requests, and a sample of the
//! others.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Filter};

/// The field with the status of the answer.
pub const STATUS: &str = "http.status";
/// The field with the duration of the request until its answer was taken, in milliseconds.
pub const DURATION: &str = "duration_ms";

/// How much of the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// One in this many lines about requests that succeeded in time is written; at least 1.
    pub one_in: u64,
    /// Requests that take at least this long are always written.
    pub slow: Duration,
}

/// Chooses lines according to a [`Sampling`].
pub(crate) struct Sampler {
    sampling: Sampling,
    succeeded: AtomicU64,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self { sampling, succeeded: AtomicU64::new(0) }
    }

    fn is_wanted(&self, line: Line) -> bool {
        let slow_ms = self.sampling.slow.as_secs_f64() * 1_000.0;
        if line.status >= 400 || line.duration_ms >= slow_ms {
            return true;
        }
        let before = self.succeeded.fetch_add(1, Ordering::Relaxed);
        before.is_multiple_of(self.sampling.one_in.max(1))
    }
}

impl<S: Subscriber> Filter<S> for Sampler {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut line = Line::default();
        event.record(&mut line);
        self.is_wanted(line)
    }
}

/// The facts that decide about a line.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    status: u64,
    duration_ms: f64,
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == STATUS {
            self.status = value;
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == DURATION {
            self.duration_ms = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sampler: &Sampler, times: u64, status: u64, duration_ms: f64) -> usize {
        let line = Line { status, duration_ms };
        (0..times).filter(|_| sampler.is_wanted(line)).count()
    }

    #[test]
    fn errors_and_slow_requests_are_written_and_one_in_so_many_of_the_others() {
        let sampler = Sampler::new(Sampling { one_in: 10, slow: Duration::from_millis(500) });
        assert_eq!(written(&sampler, 100, 200, 3.0), 10);
        for error in [400, 404, 429, 499, 500, 503] {
            assert_eq!(written(&sampler, 100, error, 3.0), 100, "{error}");
        }
        assert_eq!(written(&sampler, 100, 201, 500.0), 100);
        assert_eq!(written(&sampler, 100, 304, 499.9), 10);
    }
}
