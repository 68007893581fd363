//! Limits the work in progress of a process. Refusing requests early costs little, and lets the others finish.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{caller_bytes::CallerBytes, options::ServerOptions, pressure::Pressure};

/// Bodies up to this size are always received: withholding the ends of large bodies must not keep others from logging
/// in.
const SMALL_BODY: usize = 8 * 1024;
/// Answers up to this size are always given: there are at most as many as requests.
const SMALL: usize = 64 * 1024;

/// The work in progress of one server.
#[derive(Clone)]
pub(crate) struct Load(Arc<State>);

struct State {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    streams: Half,
    anonymous: Half,
    most_requests: usize,
    most_bytes: usize,
    most_bytes_per_caller: usize,
    pressure: Option<Pressure>,
}

/// Requests that may last as long as their clients want, or that anyone can send. They get half of all places.
struct Half {
    taken: AtomicUsize,
    most: usize,
}

impl Half {
    fn of(places: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            most: places.div_ceil(2),
        }
    }

    /// Takes a place for a request, recorded in `is_in`, and returns whether there was one.
    fn enter(&self, is_in: &AtomicBool) -> bool {
        if is_in.swap(true, Ordering::Relaxed) {
            return true;
        }
        self.taken.fetch_add(1, Ordering::Relaxed) < self.most
    }

    fn leave(&self, is_in: &AtomicBool) {
        if is_in.swap(false, Ordering::Relaxed) {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One request in progress, with the bytes in memory that belong to it.
pub(crate) struct AtWork {
    state: Arc<State>,
    bytes: AtomicUsize,
    /// Whether it has a place among the requests in progress, so was not refused.
    has_place: AtomicBool,
    /// The caller of the request, once it is known.
    caller: OnceLock<CallerBytes>,
    is_stream: AtomicBool,
    is_anonymous: AtomicBool,
}

impl Load {
    pub(crate) fn new(options: &ServerOptions) -> Self {
        let most_requests = options.max_requests.max(1);
        Self(Arc::new(State {
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            streams: Half::of(most_requests),
            anonymous: Half::of(most_requests),
            most_requests,
            most_bytes: options.max_bytes,
            most_bytes_per_caller: options.max_bytes_per_caller,
            pressure: options.pressure.clone(),
        }))
    }

    /// Begins a request, and returns whether there is room for it. A refused request takes no place, however long its
    /// answer takes.
    pub(crate) fn begin(&self) -> (Arc<AtWork>, bool) {
        let before = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let is_short = self.0.pressure.as_ref().is_some_and(Pressure::is_set);
        let has_room = before < self.0.most_requests && !is_short;
        let at_work = Arc::new(AtWork {
            state: Arc::clone(&self.0),
            bytes: AtomicUsize::new(0),
            has_place: AtomicBool::new(true),
            caller: OnceLock::new(),
            is_stream: AtomicBool::new(false),
            is_anonymous: AtomicBool::new(false),
        });
        if !has_room {
            at_work.leave_place();
        }
        (at_work, has_room)
    }
}

/// The requests that wait for the same answer, for example that of one role behind a gateway.
#[derive(Debug, Default)]
pub struct Waiting {
    all: AtomicUsize,
    anonymous: AtomicUsize,
}

/// One of the requests that wait, until it is dropped.
#[derive(Debug)]
pub struct WaitingRequest<'w> {
    waiting: &'w Waiting,
    is_anonymous: bool,
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.waiting.all.fetch_sub(1, Ordering::Relaxed);
        if self.is_anonymous {
            self.waiting.anonymous.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl AtWork {
    /// Counts the request among `waiting`, if there is room: for half of all requests, and half of the anonymous ones.
    pub(crate) fn wait_in<'w>(&self, waiting: &'w Waiting) -> Option<WaitingRequest<'w>> {
        let is_anonymous = self.is_anonymous.load(Ordering::Relaxed);
        let before = waiting.all.fetch_add(1, Ordering::Relaxed);
        let strangers_before = match is_anonymous {
            true => waiting.anonymous.fetch_add(1, Ordering::Relaxed),
            false => 0,
        };
        let request = WaitingRequest {
            waiting,
            is_anonymous,
        };
        let has_room = before < self.state.most_requests.div_ceil(2)
            && strangers_before < self.state.anonymous.most.div_ceil(2);
        has_room.then_some(request)
    }

    /// Adds bytes that the client sent. Returns whether there is room; small bodies always have it.
    pub(crate) fn receive(&self, bytes: usize) -> bool {
        self.keep(bytes) || self.bytes.load(Ordering::Relaxed) <= SMALL_BODY
    }

    /// Adds bytes of an answer. Returns whether there is room; small answers always have it.
    pub(crate) fn answer(&self, bytes: usize) -> bool {
        self.keep(bytes) || bytes <= SMALL
    }

    /// Marks the answer as a stream without a fixed end, and returns whether there is room for one more.
    pub(crate) fn stream(&self) -> bool {
        self.state.streams.enter(&self.is_stream)
    }

    /// Marks the request as anonymous, and returns whether there is room for one more.
    pub(crate) fn anonymous(&self) -> bool {
        let has_room = self.state.anonymous.enter(&self.is_anonymous);
        if !has_room {
            self.not_anonymous();
            self.leave_place();
        }
        has_room
    }

    fn leave_place(&self) {
        if self.has_place.swap(false, Ordering::Relaxed) {
            self.state.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Marks the request as not anonymous after all.
    pub(crate) fn not_anonymous(&self) {
        self.state.anonymous.leave(&self.is_anonymous);
    }

    /// Counts its bytes, including earlier ones, for `caller`. Only the first caller counts.
    pub(crate) fn count_for(&self, caller: &CallerBytes) {
        if self.caller.set(caller.clone()).is_ok() {
            caller.add(self.bytes.load(Ordering::Relaxed));
        }
    }

    /// Whether there is room for the bytes in total, and for its caller.
    fn keep(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = self.state.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let of_caller = self.caller.get().map_or(0, |caller| caller.add(bytes));
        all <= self.state.most_bytes && of_caller <= self.state.most_bytes_per_caller
    }

    /// Releases the bytes, because the answer is complete or will be another one.
    pub(crate) fn forget(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        self.state.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(caller) = self.caller.get() {
            caller.remove(bytes);
        }
        self.state.streams.leave(&self.is_stream);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.forget();
        self.not_anonymous();
        self.leave_place();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(requests: usize, bytes: usize, bytes_per_caller: usize) -> Load {
        Load::new(&ServerOptions {
            max_requests: requests,
            max_bytes: bytes,
            max_bytes_per_caller: bytes_per_caller,
            ..ServerOptions::default()
        })
    }

    #[test]
    fn more_requests_than_allowed_are_too_many_until_one_ends() {
        let load = load(2, 0, 0);
        let (first, second, third) = (load.begin(), load.begin(), load.begin());
        assert_eq!((first.1, second.1, third.1), (true, true, false));
        drop((first, third));
        assert!(load.begin().1);
    }

    #[test]
    fn bytes_are_there_until_their_request_ends() {
        let load = load(10, 200_000, 200_000);
        let (first, second) = (load.begin().0, load.begin().0);
        assert!(first.receive(150_000) && !second.receive(100_000));
        let small = load.begin().0;
        assert!(
            small.receive(SMALL_BODY) && !small.receive(1),
            "little is received in any case"
        );
        drop(small);
        drop(second);
        first.forget();
        let third = load.begin().0;
        assert!(third.answer(150_000));
        assert!(first.answer(SMALL), "a small one");
        assert!(!load.begin().0.answer(SMALL + 1));
        drop((first, third));
        assert_eq!(load.0.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(load.0.requests.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_caller_leaves_bytes_to_the_others() {
        let load = load(10, 400_000, 100_000);
        let (greedy, other) = (CallerBytes::default(), CallerBytes::default());
        let of = |caller: &CallerBytes| {
            let request = load.begin().0;
            request.count_for(caller);
            request
        };
        let (first, second) = (of(&greedy), of(&greedy));
        assert!(first.answer(90_000) && !second.answer(90_000));
        assert!(
            of(&greedy).answer(SMALL) && of(&greedy).receive(SMALL_BODY),
            "little"
        );
        assert!(!of(&greedy).receive(SMALL_BODY + 1));
        assert!(of(&other).answer(90_000) && of(&other).receive(90_000));
        drop((first, second));
        assert!(of(&greedy).answer(90_000));
        let before = load.begin().0;
        assert!(before.receive(90_000));
        before.count_for(&greedy);
        assert!(
            !of(&greedy).answer(90_000),
            "what came before it was known whose it is"
        );
        drop(before);
        assert_eq!((greedy.add(0), other.add(0)), (0, 0));
    }

    #[test]
    fn streams_and_strangers_leave_half_of_the_places_to_the_others() {
        for enter in [AtWork::stream, AtWork::anonymous] {
            let load = load(4, 0, 0);
            let requests: Vec<_> = (0..4).map(|_| load.begin().0).collect();
            let entered: Vec<_> = requests.iter().map(|request| enter(request)).collect();
            assert_eq!(entered, [true, true, false, false]);
            drop(requests);
            let again = load.begin().0;
            assert!(enter(&again) && enter(&again), "one place is enough for it");
            let next = load.begin().0;
            assert!(enter(&next));
        }
    }

    #[test]
    fn those_that_wait_for_one_answer_leave_half_of_the_places_to_those_that_wait_for_others() {
        let load = load(8, 0, 0);
        let (frozen, other) = (Waiting::default(), Waiting::default());
        let requests: Vec<_> = (0..8).map(|_| load.begin().0).collect();
        let (strangers, known) = requests.split_at(4);
        assert!(strangers.iter().all(|request| request.anonymous()));
        let wait = |requests: &[Arc<AtWork>]| -> Vec<_> {
            requests
                .iter()
                .filter_map(|request| request.wait_in(&frozen))
                .collect()
        };
        let strangers_waiting = wait(strangers);
        assert_eq!(strangers_waiting.len(), 2);
        assert!(strangers[3].wait_in(&other).is_some());
        assert_eq!(wait(known).len(), 2);
        drop(strangers_waiting);
        assert_eq!(wait(known).len(), 4);
        assert_eq!((frozen.all.into_inner(), frozen.anonymous.into_inner()), (0, 0));
    }

    #[test]
    fn what_is_refused_takes_no_place() {
        let load = load(2, 0, 0);
        let strangers: Vec<_> = (0..5).map(|_| load.begin().0).collect();
        drop(strangers);
        let (first, second) = (load.begin().0, load.begin().0);
        assert!(first.anonymous() && !second.anonymous());
        let third = load.begin();
        assert!(third.1, "a stranger who is refused, and is still told so");
        let fourth = load.begin();
        assert!(!fourth.1);
        drop(third);
        assert!(load.begin().1, "one more that is refused");
    }

    #[test]
    fn who_becomes_known_leaves_the_place_of_a_stranger() {
        let load = load(2, 0, 0);
        let (first, second) = (load.begin().0, load.begin().0);
        assert!(first.anonymous());
        first.not_anonymous();
        assert!(second.anonymous());
    }
}
