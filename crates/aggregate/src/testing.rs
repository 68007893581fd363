//! Decisions told as stories: `given(id, events).when(decision).then(events)`.

use std::fmt::Debug;

use events::{Aggregate, Timestamp};

/// What has happened to `id` so far, an event a second, from the first second of 1970.
pub fn given<A: Aggregate>(id: A::Id, history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    folded(id, history, |version| {
        Timestamp::from_micros(i64::from(version) * 1_000_000)
    })
}

/// What has happened to `id` so far, all of it at `at`.
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
        .fold(None, |state, (event, version)| {
            A::evolve(state, &id, &event, version.into(), at(version))
        });
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
    #[must_use]
    pub fn state(&self) -> Option<&A> {
        self.state.as_ref()
    }

    /// Makes the decision on the state after the history.
    pub fn when<R>(&self, decide: impl FnOnce(Option<&A>) -> Result<Vec<A::Event>, R>) -> When<A::Event, R> {
        When {
            decided: decide(self.state()),
        }
    }
}

impl<E: Debug + PartialEq, R: Debug + PartialEq> When<E, R> {
    /// Makes sure that exactly these events follow.
    ///
    /// # Panics
    /// When something else does.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = E>) {
        assert_eq!(self.decided, Ok(events.into_iter().collect()));
    }

    /// All is as asked already.
    ///
    /// # Panics
    /// When something happens.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    /// The rules say no.
    ///
    /// # Panics
    /// When they do not, or for another reason.
    #[track_caller]
    pub fn then_refused(self, refusal: R) {
        assert_eq!(self.decided, Err(refusal));
    }
}
