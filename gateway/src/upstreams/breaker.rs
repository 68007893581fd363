//! A circuit breaker: skips a replica that accepts requests without answering, and tries one request at a time to
//! find out whether it answers again. Readiness is not enough, because such a replica may answer its probes.

use std::time::Duration;

use parking_lot::Mutex;
use runtime::random_between;
use tokio::time::Instant;

/// The number of unanswered requests in a row that opens the circuit. Any answer resets the count.
const FAILURES: u32 = 5;
/// How long the circuit stays open the first time. The time doubles after each failed trial.
const MIN_OPEN: Duration = Duration::from_secs(1);
/// The longest time that the circuit stays open before the next trial.
const MAX_OPEN: Duration = Duration::from_secs(8);
/// How long a trial keeps other requests away. After that the next request is also a trial, since the first one may
/// only have a slow client.
const TRIAL: Duration = Duration::from_secs(2);

/// The circuit of one replica.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<Circuit>);

#[derive(Debug, Clone, Copy)]
enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Trial { since: Instant, pause: Duration },
}

impl Circuit {
    fn admits(self, now: Instant) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { until, .. } => until <= now,
            Self::Trial { since, .. } => since + TRIAL <= now,
        }
    }
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Circuit::Closed { failures: 0 }))
    }

    /// Whether a request could be sent at `now`.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.0.lock().admits(now)
    }

    /// Whether requests go through as if nothing were wrong.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.0.lock(), Circuit::Closed { .. })
    }

    /// Begins a request, if one may be sent. Its result must be reported to the [`Attempt`].
    pub(super) fn begin(&self, now: Instant) -> Option<Attempt<'_>> {
        let mut circuit = self.0.lock();
        if !circuit.admits(now) {
            return None;
        }
        if let Circuit::Open { pause, .. } | Circuit::Trial { pause, .. } = *circuit {
            *circuit = Circuit::Trial { since: now, pause };
        }
        drop(circuit);
        Some(Attempt { breaker: self, is_judged: false })
    }

    /// Closes the circuit, because the replica has come back.
    pub(super) fn reset(&self) {
        *self.0.lock() = Circuit::Closed { failures: 0 };
    }
}

/// A request on its way. If it is dropped without a result, because its client has gone, it does not count.
pub(super) struct Attempt<'b> {
    breaker: &'b Breaker,
    is_judged: bool,
}

impl Attempt<'_> {
    /// Records an answer of any kind.
    pub(super) fn answered(mut self) {
        self.is_judged = true;
        self.breaker.reset();
    }

    /// Records that there was no answer.
    pub(super) fn failed(mut self, now: Instant) {
        self.is_judged = true;
        let mut circuit = self.breaker.0.lock();
        *circuit = match *circuit {
            Circuit::Closed { failures } if failures + 1 < FAILURES => {
                Circuit::Closed { failures: failures + 1 }
            }
            Circuit::Closed { .. } => opened(now, MIN_OPEN),
            Circuit::Trial { pause, .. } => opened(now, (pause * 2).min(MAX_OPEN)),
            // Sent before the circuit opened.
            Circuit::Open { until, pause } => Circuit::Open { until, pause },
        };
    }
}

/// Opens the circuit for a random time, so that gateways do not all try again at the same moment.
fn opened(now: Instant, pause: Duration) -> Circuit {
    let until = now + pause.mul_f64(random_between(0.5, 1.0));
    Circuit::Open { until, pause }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_judged {
            return;
        }
        let mut circuit = self.breaker.0.lock();
        if let Circuit::Trial { pause, .. } = *circuit {
            *circuit = Circuit::Open { until: Instant::now(), pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            breaker.begin(now).unwrap().failed(now);
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        fail(&breaker, FAILURES - 1, now);
        breaker.begin(now).unwrap().answered();
        fail(&breaker, FAILURES - 1, now);
        assert!(breaker.is_closed());
        fail(&breaker, 1, now);
        assert!(!breaker.admits(now) && breaker.begin(now).is_none());
    }

    #[test]
    fn one_request_at_a_time_tries_an_open_circuit_and_an_answer_closes_it() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        fail(&breaker, FAILURES, now);
        let later = now + MIN_OPEN;
        let trial = breaker.begin(later).unwrap();
        assert!(breaker.begin(later).is_none(), "the trial is under way");
        trial.answered();
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_trial_that_fails_keeps_it_open_for_longer_each_time_up_to_a_bound() {
        let (breaker, mut now) = (Breaker::new(), Instant::now());
        fail(&breaker, FAILURES, now);
        for _ in 0..10 {
            now += MAX_OPEN;
            fail(&breaker, 1, now);
            assert!(!breaker.admits(now));
        }
        assert!(!breaker.admits(now + MAX_OPEN.mul_f64(0.4)));
        assert!(breaker.admits(now + MAX_OPEN));
    }

    #[test]
    fn a_trial_that_takes_long_does_not_keep_the_others_away() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        fail(&breaker, FAILURES, now);
        let later = now + MIN_OPEN;
        let slow = breaker.begin(later).unwrap();
        assert!(breaker.begin(later + TRIAL / 2).is_none());
        assert!(breaker.admits(later + TRIAL));
        let honest = breaker.begin(later + TRIAL).unwrap();
        assert!(breaker.begin(later + TRIAL).is_none(), "that one is the trial now");
        honest.answered();
        assert!(breaker.is_closed());
        drop(slow);
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_client_that_leaves_does_not_keep_it_open() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        fail(&breaker, FAILURES, now);
        let later = now + MIN_OPEN;
        drop(breaker.begin(later));
        assert!(breaker.admits(later));
    }
}
