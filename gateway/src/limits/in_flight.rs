//! Limits the running requests of one caller, so that slow requests, or answers that are not taken, only affect that
//! caller.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use http_server::CallerBytes;

use super::subject::Subject;

/// The running requests of every caller. `http-server` limits all together.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<DashMap<Subject, OfCaller>>);

#[derive(Default)]
struct OfCaller {
    requests: u32,
    bytes: CallerBytes,
}

/// One running request, until it is dropped.
pub(super) struct AtWork {
    all: InFlight,
    caller: Subject,
    /// The bytes in memory of all requests of the same caller.
    pub(super) bytes: CallerBytes,
}

impl InFlight {
    /// Begins a request of `caller`, unless there are `most` already.
    pub(super) fn begin(&self, caller: Subject, most: u32) -> Option<AtWork> {
        let mut of_caller = match self.0.entry(caller.clone()) {
            Entry::Occupied(known) if known.get().requests >= most => return None,
            Entry::Occupied(known) => known.into_ref(),
            Entry::Vacant(none) => none.insert(OfCaller::default()),
        };
        of_caller.requests += 1;
        let bytes = of_caller.bytes.clone();
        drop(of_caller);
        Some(AtWork { all: self.clone(), caller, bytes })
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.all.0.remove_if_mut(&self.caller, |_, of_caller| {
            of_caller.requests -= 1;
            of_caller.requests == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> Subject {
        Subject::network([192, 0, 2, last].into())
    }

    #[test]
    fn one_caller_has_so_many_at_work_and_others_have_theirs() {
        let all = InFlight::default();
        let (first, second) = (all.begin(network(1), 2), all.begin(network(1), 2));
        assert!(first.is_some() && second.is_some());
        assert!(all.begin(network(1), 2).is_none());
        assert!(all.begin(network(1), 3).is_some(), "the policy was widened");
        assert!(all.begin(network(2), 2).is_some());
        drop(first);
        assert!(all.begin(network(1), 2).is_some());
    }

    #[test]
    fn who_has_nothing_at_work_is_not_remembered() {
        let all = InFlight::default();
        let at_work: Vec<_> = (0..100).map(|last| all.begin(network(last), 1)).collect();
        assert_eq!(all.0.len(), 100);
        drop(at_work);
        assert!(all.0.is_empty());
    }
}
