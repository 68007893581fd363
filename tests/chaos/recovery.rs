//! How long the system takes to recover from faults. While a fault is on, nothing is measured. From its end on,
//! whatever was disturbed has to work again within the time that the product promises.

use std::{
    fmt::{self, Display},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

/// No server, network or process that stands still stops others for longer than this.
const PROMISED: Duration = Duration::from_secs(15);
/// A wait fails after this time even if faults follow each other all the time.
const HOPELESS: Duration = Duration::from_secs(120);
const INTERVAL: Duration = Duration::from_millis(50);

/// The faults of a run, and the waits for its recovery. Clones share them.
#[derive(Clone)]
pub(crate) struct Recovery(Arc<State>);

struct State {
    faults: Mutex<Faults>,
    /// The time that all processes took to start when there was no fault.
    start: OnceLock<Duration>,
    longest: Mutex<LongestWait>,
}

struct Faults {
    /// Number of faults that are on.
    active: usize,
    /// When the last one ended.
    ended: Instant,
}

/// The longest time from the end of a fault to an answer.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LongestWait {
    lasted: Duration,
    limit: Duration,
    what: String,
}

/// A fault that is on until this is dropped.
pub(crate) struct ActiveFault(Arc<State>);

/// A wait for something that faults may delay.
pub(crate) struct Wait {
    state: Arc<State>,
    since: Instant,
}

impl Recovery {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            faults: Mutex::new(Faults { active: 0, ended: Instant::now() }),
            start: OnceLock::new(),
            longest: Mutex::default(),
        }))
    }

    /// Remembers how long all processes took to start. A slow machine may take so much longer to recover than the
    /// product promises, and so does a process that was killed, since it has to start.
    pub(crate) fn calibrate(&self, start: Duration) {
        assert!(self.0.start.set(start).is_ok(), "calibrated once");
        *self.0.longest.lock().unwrap() = LongestWait::default();
    }

    /// Begins a fault, which ends when the result is dropped.
    pub(crate) fn fault(&self) -> ActiveFault {
        self.0.faults.lock().unwrap().active += 1;
        ActiveFault(Arc::clone(&self.0))
    }

    /// A fault that strikes at once: everything after it is recovery.
    pub(crate) fn strike(&self) {
        drop(self.fault());
    }

    pub(crate) fn wait(&self) -> Wait {
        Wait { state: Arc::clone(&self.0), since: Instant::now() }
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        self.persist(what, async || match condition().await {
            true => Ok(()),
            false => Err("not yet"),
        })
        .await;
    }

    /// Repeats `attempt` until it succeeds, since faults disturb it.
    pub(crate) async fn persist<T, E: Display>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut() -> Result<T, E>,
    ) -> T {
        let wait = self.wait();
        loop {
            match attempt().await {
                Ok(done) => {
                    wait.ends(|| what.to_owned());
                    return done;
                }
                Err(error) => wait.goes_on(|| format!("{what}: {error}")),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    pub(crate) fn longest(&self) -> LongestWait {
        self.0.longest.lock().unwrap().clone()
    }
}

impl Wait {
    /// The time without a fault since it began.
    fn lasted(&self) -> Duration {
        let faults = self.state.faults.lock().unwrap();
        match faults.active {
            0 => self.since.max(faults.ended).elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// Fails if the wait is too long.
    pub(crate) fn goes_on(&self, what: impl FnOnce() -> String) {
        let limit = self.state.limit();
        assert!(
            self.lasted() < limit && self.since.elapsed() < HOPELESS,
            "not within {limit:?} after the last fault ({:?} in all): {}",
            self.since.elapsed(),
            what()
        );
    }

    /// Records the wait if it is the longest one.
    pub(crate) fn ends(self, what: impl FnOnce() -> String) {
        let lasted = self.lasted();
        let mut longest = self.state.longest.lock().unwrap();
        if lasted > longest.lasted {
            *longest = LongestWait { lasted, limit: self.state.limit(), what: what() };
        }
    }
}

impl State {
    fn limit(&self) -> Duration {
        PROMISED + self.start.get().copied().unwrap_or(HOPELESS)
    }
}

impl Drop for ActiveFault {
    fn drop(&mut self) {
        let mut faults = self.0.faults.lock().unwrap();
        faults.active -= 1;
        faults.ended = Instant::now();
    }
}

impl fmt::Display for LongestWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lasted, limit, what } = self;
        write!(f, "{:.1} of {:.1} s ({what})", lasted.as_secs_f64(), limit.as_secs_f64())
    }
}
