//! The security log: one JSON line for each success and failure of authentication and for each denied authorization,
//! on a separate tracing target that is always enabled. It never contains a secret or an e-mail address, because
//! people type passwords into that field.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::LazyLock,
    time::{Duration, Instant},
};

use events::{AuthenticationMethod, UserId};
use parking_lot::Mutex;
use runtime::telemetry::SECURITY;

use crate::request_id;

/// The most lines of one kind of failure in one window. Further ones are only counted, so that a flood does not fill
/// the disk.
const LINES: u64 = 100;
const WINDOW: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The address of the client whose request this task serves.
    pub(crate) static CLIENT: Option<IpAddr>;
}

/// An event of authentication or authorization. It is written by [`record`](Self::record).
#[derive(Debug, Clone)]
#[must_use = "it is written by `record`"]
pub struct SecurityEvent {
    event: &'static str,
    outcome: &'static str,
    reason: Option<&'static str>,
    actor: Option<UserId>,
    subject: Option<UserId>,
    counted_as: Option<String>,
    failures: Option<u64>,
    methods: Option<String>,
}

impl SecurityEvent {
    /// An event that has succeeded.
    pub const fn success(event: &'static str) -> Self {
        Self::new(event, "success", None)
    }

    /// A failure: the client did not prove who they are.
    pub const fn failure(event: &'static str, reason: &'static str) -> Self {
        Self::new(event, "failure", Some(reason))
    }

    /// A denial: the client is known, but may not do this.
    pub const fn denied(event: &'static str, reason: &'static str) -> Self {
        Self::new(event, "denied", Some(reason))
    }

    const fn new(event: &'static str, outcome: &'static str, reason: Option<&'static str>) -> Self {
        Self {
            event,
            outcome,
            reason,
            actor: None,
            subject: None,
            counted_as: None,
            failures: None,
            methods: None,
        }
    }

    /// The person who did it, if that is proved.
    pub const fn actor(mut self, actor: UserId) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The person whose account it is about.
    pub const fn subject(mut self, subject: UserId) -> Self {
        self.subject = Some(subject);
        self
    }

    /// The person whose account it is about, if that is known.
    pub const fn subject_if_known(mut self, subject: Option<UserId>) -> Self {
        self.subject = subject;
        self
    }

    /// How the person was authenticated.
    pub fn methods(mut self, methods: &BTreeSet<AuthenticationMethod>) -> Self {
        let names: Vec<_> = methods.iter().map(|method| method.name()).collect();
        self.methods = Some(names.join(" "));
        self
    }

    /// The keyed hash under which attempts at the same account are counted, whether or not it exists.
    pub fn counted_as(mut self, key: &str) -> Self {
        self.counted_as = Some(key.to_owned());
        self
    }

    /// The number of failures in a row, including this one.
    pub const fn failures(mut self, failures: u64) -> Self {
        self.failures = Some(failures);
        self
    }

    /// Writes the line, with the client's address and the id of the request that this task serves.
    pub fn record(self) {
        let suppressed = match self.room() {
            Some(suppressed) => suppressed,
            None => return,
        };
        tracing::info!(
            target: SECURITY,
            event = self.event,
            outcome = self.outcome,
            reason = self.reason,
            actor.id = self.actor.map(|id| id.to_string()),
            subject.id = self.subject.map(|id| id.to_string()),
            attempt.key = self.counted_as,
            attempt.failures = self.failures,
            login.methods = self.methods,
            client.ip = CLIENT.try_with(|client| *client).ok().flatten().map(|address| address.to_string()),
            request.id = request_id::current(),
            suppressed = (suppressed > 0).then_some(suppressed),
            "security"
        );
    }

    /// How many lines of this kind were left out before this one; `None` when this one is left out, too.
    fn room(&self) -> Option<u64> {
        // Successes are not limited: those who succeed are known, and bounded by what the system can do.
        let Some(reason) = self.reason else {
            return Some(0);
        };
        let mut kinds = KINDS.lock();
        let kind = kinds.entry((self.event, reason)).or_insert_with(|| Kind::starting(Instant::now()));
        kind.room(Instant::now())
    }
}

/// Events and reasons are constants of the program, so there are few.
static KINDS: LazyLock<Mutex<Kinds>> = LazyLock::new(Mutex::default);

type Kinds = HashMap<(&'static str, &'static str), Kind>;

#[derive(Debug)]
struct Kind {
    began: Instant,
    lines: u64,
    suppressed: u64,
}

impl Kind {
    const fn starting(began: Instant) -> Self {
        Self { began, lines: 0, suppressed: 0 }
    }

    fn room(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.began) >= WINDOW {
            self.began = now;
            self.lines = 0;
        }
        if self.lines == LINES {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let begun = Instant::now();
        let mut kind = Kind::starting(begun);
        for _ in 0..LINES {
            assert_eq!(kind.room(begun), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(kind.room(begun), None);
        }
        assert_eq!(kind.room(begun + WINDOW), Some(7));
        assert_eq!(kind.room(begun + WINDOW), Some(0));
    }
}
