//! Leaves a replica alone that takes requests and answers none (circuit breaker), and finds out with one request at a time
//! whether it answers again. Readiness cannot tell: such a replica may well answer its probes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use runtime::random_between;
use tokio::time::Instant;

/// The number of requests in a row without an answer that opens the circuit. Any answer, to whomever, starts the count again.
const FAILURES: u32 = 5;
/// How long the circuit stays open the first time. It stays open twice as long each time that the trial fails.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest time that the circuit stays open before the next trial.
const LONGEST: Duration = Duration::from_secs(8);

/// The circuit of one replica.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<Circuit>);

#[derive(Debug, Clone, Copy)]
enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Trial { pause: Duration },
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Circuit::Closed { failures: 0 }))
    }

    /// Whether a request could be sent at `now`.
    pub(super) fn admits(&self, now: Instant) -> bool {
        match *self.circuit() {
            Circuit::Closed { .. } => true,
            Circuit::Open { until, .. } => until <= now,
            Circuit::Trial { .. } => false,
        }
    }

    /// Whether requests go through as if nothing were wrong.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.circuit(), Circuit::Closed { .. })
    }

    /// A request is about to be sent, if it may be. Its outcome is told to the [`Attempt`].
    pub(super) fn begin(&self, now: Instant) -> Option<Attempt<'_>> {
        let mut circuit = self.circuit();
        match *circuit {
            Circuit::Closed { .. } => {}
            Circuit::Open { until, pause } if until <= now => *circuit = Circuit::Trial { pause },
            Circuit::Open { .. } | Circuit::Trial { .. } => return None,
        }
        drop(circuit);
        Some(Attempt {
            breaker: self,
            is_judged: false,
        })
    }

    /// Closes the circuit: the replica was away and has come back.
    pub(super) fn reset(&self) {
        *self.circuit() = Circuit::Closed { failures: 0 };
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way. One that is dropped without a verdict, since its client has gone, says nothing about the replica.
pub(super) struct Attempt<'b> {
    breaker: &'b Breaker,
    is_judged: bool,
}

impl Attempt<'_> {
    /// The replica has answered, whatever it said.
    pub(super) fn answered(mut self) {
        self.is_judged = true;
        self.breaker.reset();
    }

    /// The replica has not answered.
    pub(super) fn failed(mut self, now: Instant) {
        self.is_judged = true;
        let mut circuit = self.breaker.circuit();
        *circuit = match *circuit {
            Circuit::Closed { failures } if failures + 1 < FAILURES => Circuit::Closed {
                failures: failures + 1,
            },
            Circuit::Closed { .. } => opened(now, SHORTEST),
            Circuit::Trial { pause } => opened(now, (pause * 2).min(LONGEST)),
            // One that was sent before it opened.
            Circuit::Open { until, pause } => Circuit::Open { until, pause },
        };
    }
}

/// The front doors do not all come back at the same moment.
fn opened(now: Instant, pause: Duration) -> Circuit {
    let until = now + pause.mul_f64(random_between(0.5, 1.0));
    Circuit::Open { until, pause }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_judged {
            return;
        }
        let mut circuit = self.breaker.circuit();
        if let Circuit::Trial { pause } = *circuit {
            *circuit = Circuit::Open {
                until: Instant::now(),
                pause,
            };
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
        let later = now + SHORTEST;
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
            now += LONGEST;
            fail(&breaker, 1, now);
            assert!(!breaker.admits(now));
        }
        assert!(!breaker.admits(now + LONGEST.mul_f64(0.4)));
        assert!(breaker.admits(now + LONGEST));
    }

    #[test]
    fn a_client_that_leaves_does_not_keep_it_open() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        fail(&breaker, FAILURES, now);
        let later = now + SHORTEST;
        drop(breaker.begin(later));
        assert!(breaker.admits(later));
    }
}
