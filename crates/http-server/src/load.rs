//! How much a process has at work, and from where on it takes no more: refusing early costs little, and keeps what has
//! begun going.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{options::ServerOptions, pressure::Pressure};

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
    most_requests: usize,
    most_bytes: usize,
    pressure: Option<Pressure>,
}

/// One request at work, with the bytes that are kept because of it.
pub(crate) struct AtWork {
    state: Arc<State>,
    bytes: AtomicUsize,
}

impl Load {
    pub(crate) fn new(options: &ServerOptions) -> Self {
        Self(Arc::new(State {
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most_requests: options.max_requests.max(1),
            most_bytes: options.max_bytes,
            pressure: options.pressure.clone(),
        }))
    }

    /// One more request; whether there is room for it is told beside it.
    pub(crate) fn begin(&self) -> (Arc<AtWork>, bool) {
        let before = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let is_short = self.0.pressure.as_ref().is_some_and(Pressure::is_set);
        let at_work = Arc::new(AtWork {
            state: Arc::clone(&self.0),
            bytes: AtomicUsize::new(0),
        });
        (at_work, before < self.0.most_requests && !is_short)
    }
}

impl AtWork {
    /// Keeps so many more bytes of what the client sends, if there is room, or if it is little so far.
    pub(crate) fn receive(&self, bytes: usize) -> bool {
        self.keep(bytes) <= self.state.most_bytes || self.bytes.load(Ordering::Relaxed) <= SMALL_BODY
    }

    /// Keeps so many more bytes of an answer, if there is room, or if it is a small one.
    pub(crate) fn answer(&self, bytes: usize) -> bool {
        self.keep(bytes) <= self.state.most_bytes || bytes <= SMALL
    }

    fn keep(&self, bytes: usize) -> usize {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// What was received is not needed any more: the answer is there.
    pub(crate) fn forget_received(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        self.state.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.forget_received();
        self.state.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(requests: usize, bytes: usize) -> Load {
        Load::new(&ServerOptions {
            max_requests: requests,
            max_bytes: bytes,
            ..ServerOptions::default()
        })
    }

    #[test]
    fn more_requests_than_allowed_are_too_many_until_one_ends() {
        let load = load(2, 0);
        let (first, second, third) = (load.begin(), load.begin(), load.begin());
        assert_eq!((first.1, second.1, third.1), (true, true, false));
        drop((first, third));
        assert!(load.begin().1);
    }

    #[test]
    fn bytes_are_there_until_their_request_ends() {
        let load = load(10, 200_000);
        let (first, second) = (load.begin().0, load.begin().0);
        assert!(first.receive(150_000) && !second.receive(100_000));
        let small = load.begin().0;
        assert!(
            small.receive(SMALL_BODY) && !small.receive(1),
            "little is received in any case"
        );
        drop(small);
        drop(second);
        first.forget_received();
        let third = load.begin().0;
        assert!(third.answer(150_000));
        assert!(first.answer(SMALL), "a small one");
        assert!(!load.begin().0.answer(SMALL + 1));
        drop((first, third));
        assert_eq!(load.0.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(load.0.requests.load(Ordering::Relaxed), 0);
    }
}
