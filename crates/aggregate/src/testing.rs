//! Tests of decisions in the form `given(id, events).when(decision).then(events)`.

use std::fmt::Debug;

use events::{Aggregate, Timestamp};

/// The history of `id`, with one event each second, from the first second of 1970.
pub fn given<A: Aggregate>(id: A::Id, history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    folded(id, history, |version| Timestamp::from_micros(i64::from(version) * 1_000_000))
}

/// The history of `id`, with all events at the time `at`.
pub fn given_at<A: Aggregate>(
    id: A::Id,
    at: Timestamp,
    history: impl IntoIterator<Item = A::Event>,
) -> Given<A> {
    folded(id, history, |_| at)
}

fn folded<A: Aggregate>(
    id: A::Id,
    history: impl IntoIterator<Item = A::Event>,
    at: impl Fn(u32) -> Timestamp,
) -> Given<A> {
    let state = history
        .into_iter()
        .zip(1_u32..)
        .fold(None, |state, (event, version)| A::evolve(state, &id, &event, version.into(), at(version)));
    Given { state }
}

/// The events that have happened before the decision.
#[derive(Debug, Clone)]
pub struct Given<A> {
    state: Option<A>,
}

/// A decision that was made.
#[derive(Debug)]
#[must_use = "say what is expected of it"]
pub struct When<E, R> {
    decided: Result<Vec<E>, R>,
}

impl<A: Aggregate> Given<A> {
    /// The state that the history leads to.
    pub fn state(&self) -> Option<&A> {
        self.state.as_ref()
    }

    /// Makes the decision on the state after the history.
    pub fn when<R>(&self, decide: impl FnOnce(Option<&A>) -> Result<Vec<A::Event>, R>) -> When<A::Event, R> {
        When { decided: decide(self.state()) }
    }
}

impl<E: Debug + PartialEq, R: Debug + PartialEq> When<E, R> {
    /// Checks that the decision is exactly these events.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = E>) {
        assert_eq!(self.decided, Ok(events.into_iter().collect()));
    }

    /// Checks that the decision is no event.
    ///
    /// # Panics
    /// When there are events or a refusal.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    /// Checks that the decision is this refusal.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn then_refused(self, refusal: R) {
        assert_eq!(self.decided, Err(refusal));
    }
}
