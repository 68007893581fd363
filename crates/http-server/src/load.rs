//! How much a process has at work, and from where on it takes no more: refusing early costs little, and keeps what has
//! begun going.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{caller_bytes::CallerBytes, options::ServerOptions, pressure::Pressure};

/// A body up to this size is received whatever else is under way, for the same reason: whoever withholds the ends of large ones
/// keeps nobody from logging in.
const SMALL_BODY: usize = 8 * 1024;
/// An answer up to this size is given whatever else is under way: there are no more of them than requests.
const SMALL: usize = 64 * 1024;

/// What one server has at work.
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

/// Requests of a kind that may last as long as their clients like, or that anyone can send. They have half of all places, so that
/// the others find one.
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

    /// Takes a place for a request that remembers it in `is_in`; whether there was one is told.
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

/// One request at work, with the bytes that are kept because of it.
pub(crate) struct AtWork {
    state: Arc<State>,
    bytes: AtomicUsize,
    /// It has a place among the requests at work: it was not refused.
    has_place: AtomicBool,
    /// Whose bytes they are, once somebody has told.
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

    /// One more request; whether there is room for it is told beside it. One that is refused takes no place, however long it takes
    /// to tell its client.
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

impl AtWork {
    /// Keeps so many more bytes of what the client sends, if there is room, or if it is little so far.
    pub(crate) fn receive(&self, bytes: usize) -> bool {
        self.keep(bytes) || self.bytes.load(Ordering::Relaxed) <= SMALL_BODY
    }

    /// Keeps so many more bytes of an answer, if there is room, or if it is a small one.
    pub(crate) fn answer(&self, bytes: usize) -> bool {
        self.keep(bytes) || bytes <= SMALL
    }

    /// Its answer is a stream that lasts as long as its client likes, if there is room for one more.
    pub(crate) fn stream(&self) -> bool {
        self.state.streams.enter(&self.is_stream)
    }

    /// It carries nothing that says who sent it, if there is room for one more such.
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

    /// It is known after all who sent it.
    pub(crate) fn not_anonymous(&self) {
        self.state.anonymous.leave(&self.is_anonymous);
    }

    /// Its bytes, those until now included, count among those of `caller`. The first one who is named counts.
    pub(crate) fn count_for(&self, caller: &CallerBytes) {
        if self.caller.set(caller.clone()).is_ok() {
            caller.add(self.bytes.load(Ordering::Relaxed));
        }
    }

    /// Whether there is room for them in all, and among those of its caller.
    fn keep(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = self.state.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let of_caller = self.caller.get().map_or(0, |caller| caller.add(bytes));
        all <= self.state.most_bytes && of_caller <= self.state.most_bytes_per_caller
    }

    /// What was kept is not needed any more: the answer is there, or will be another one.
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
