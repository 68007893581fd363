//! Limits the work in progress of a process. Refusing requests early costs little, and lets the others finish.

mod parts;

use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    activity::Activity,
    caller_bytes::CallerBytes,
    connection_metrics::{ConnectionMetrics, Reason},
    network_bytes::NetworkBytes,
    options::ServerOptions,
    pressure::Pressure,
};

/// Bodies up to this size are always received: withholding the ends of large bodies must not keep others from logging
/// in.
const SMALL_BODY: usize = 8 * 1024;
/// Answers up to this size are always given: there are at most as many as requests.
const SMALL: usize = 64 * 1024;
/// So many bytes of the parts of an answer are always given, so that streams on which little happens go on when memory
/// is used up. This is less than for other small answers: half of the requests may be streams, and 2,048 of them have
/// 16 MiB of such bytes at most. Whatever has more can be cut off.
const SMALL_PARTS: usize = 8 * 1024;
/// The callers of one network may have this fraction of all bytes. One address can have many accounts.
const SHARE_OF_NETWORK: usize = 3;

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
    most_bytes_per_network: usize,
    networks: NetworkBytes,
    /// How long the client of an answer may be slow before the answer can be cut off for others.
    patience: Duration,
    /// The large answers, which can be cut off.
    large: Mutex<Vec<LargeAnswer>>,
    pressure: Option<Pressure>,
    metrics: ConnectionMetrics,
}

/// An answer that takes much memory, and its connection.
struct LargeAnswer {
    at_work: Weak<AtWork>,
    activity: Activity,
}

/// A large answer of which little was taken for some time.
struct LateAnswer<'l> {
    slow_since: Instant,
    at_work: Arc<AtWork>,
    bytes: usize,
    activity: &'l Activity,
}

impl LargeAnswer {
    /// What is to be known to cut it off, if its client is slow for `patience` at least. Not if it was cut off before:
    /// then it has no bytes, and ends once its task runs. Nor if most of its parts were sent meanwhile.
    fn late(&self, patience: Duration) -> Option<LateAnswer<'_>> {
        let slow_since = self.activity.slow_since()?;
        let at_work = self.at_work.upgrade()?;
        let bytes = at_work.bytes.load(Ordering::Relaxed);
        (slow_since.elapsed() >= patience && bytes > SMALL_PARTS).then_some(LateAnswer {
            slow_since,
            at_work,
            bytes,
            activity: &self.activity,
        })
    }
}

impl State {
    /// Cuts off large answers, those first whose clients are slow for longest, until there is room again. With an
    /// owner, those of the same network, until it has no more than its share. Returns `false`, and cuts off nothing, if
    /// those whose clients are slow for some time are too few; or `false` if one of them went on meanwhile.
    fn make_room(&self, in_network_of: Option<&Owner>) -> bool {
        let large = self.large.lock();
        // Those that had the lock before may have released enough for all.
        let excess = match in_network_of {
            Some(owner) => owner.of_network.total().saturating_sub(self.most_bytes_per_network),
            None => self.bytes.load(Ordering::Relaxed).saturating_sub(self.most_bytes),
        };
        let mut late: Vec<_> = large
            .iter()
            .filter_map(|answer| answer.late(self.patience))
            .filter(|answer| {
                in_network_of.is_none_or(|owner| answer.at_work.network() == Some(owner.network))
            })
            .collect();
        if late.iter().map(|answer| answer.bytes).sum::<usize>() < excess {
            return false;
        }
        late.sort_unstable_by_key(|answer| answer.slow_since);
        let (mut released, mut cut_off, mut network) = (0, 0, None);
        for answer in late {
            if released >= excess {
                break;
            }
            if answer.activity.cut_off() {
                // Its connection ends in a moment, for which this one need not wait.
                released += answer.at_work.forget();
                cut_off += 1;
                network = answer.at_work.network();
            }
        }
        self.metrics.refused(Reason::Memory, cut_off, network);
        released >= excess
    }
}

/// Whose the bytes of a request are.
struct Owner {
    caller: CallerBytes,
    network: IpAddr,
    of_network: CallerBytes,
}

/// Requests that may last as long as their clients want, or that anyone can send. They get half of all places.
struct Half {
    taken: AtomicUsize,
    most: usize,
}

impl Half {
    fn of(places: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most: places.div_ceil(2) }
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
    /// Those of its bytes that belong to parts which were passed on, and were not sent yet.
    unsent_parts: AtomicUsize,
    /// Whether it is among the large answers.
    is_large: AtomicBool,
    /// Whether it has a place among the requests in progress, so was not refused.
    has_place: AtomicBool,
    /// The caller of the request, once it is known.
    owner: OnceLock<Owner>,
    is_stream: AtomicBool,
    is_anonymous: AtomicBool,
}

impl Load {
    pub(crate) fn new(options: &ServerOptions, metrics: ConnectionMetrics) -> Self {
        let most_requests = options.max_requests.max(1);
        Self(Arc::new(State {
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            streams: Half::of(most_requests),
            anonymous: Half::of(most_requests),
            most_requests,
            most_bytes: options.max_bytes,
            most_bytes_per_caller: options.max_bytes_per_caller,
            most_bytes_per_network: (options.max_bytes / SHARE_OF_NETWORK).max(options.max_bytes_per_caller),
            networks: NetworkBytes::default(),
            patience: options.stall_timeout_under_load,
            large: Mutex::default(),
            pressure: options.pressure.clone(),
            metrics,
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
            unsent_parts: AtomicUsize::new(0),
            is_large: AtomicBool::new(false),
            has_place: AtomicBool::new(true),
            owner: OnceLock::new(),
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
        let request = WaitingRequest { waiting, is_anonymous };
        let has_room = before < self.state.most_requests.div_ceil(2)
            && strangers_before < self.state.anonymous.most.div_ceil(2);
        has_room.then_some(request)
    }

    /// Adds bytes that the client sent. Returns whether there is room; small bodies always have it. Nothing is cut off
    /// for them: bodies can be held back at will, so whoever does that would end the answers of others.
    pub(crate) fn receive(&self, bytes: usize) -> bool {
        let is_small = self.bytes.load(Ordering::Relaxed) + bytes <= SMALL_BODY;
        self.keep(bytes, is_small, false)
    }

    /// Adds bytes of an answer. Returns whether there is room, for which other answers may be cut off; small answers
    /// always have it.
    pub(crate) fn answer(&self, bytes: usize) -> bool {
        self.keep(bytes, bytes <= SMALL, true)
    }

    /// Lets the answer be cut off, if it is large, when others need the memory and its client does not take it. Not for
    /// answers to commands: what they have done is told in any case.
    pub(crate) fn may_be_cut_off(self: &Arc<Self>, activity: &Activity) {
        if self.bytes.load(Ordering::Relaxed) > SMALL {
            self.put_among_large(activity);
        }
    }

    /// Puts it among the large answers, if it is not there yet.
    fn put_among_large(self: &Arc<Self>, activity: &Activity) {
        if !self.is_large.swap(true, Ordering::Relaxed) {
            let mut large = self.state.large.lock();
            large.retain(|answer| answer.at_work.strong_count() > 0);
            large.push(LargeAnswer { at_work: Arc::downgrade(self), activity: activity.clone() });
        }
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

    /// Counts its bytes, including earlier ones, for `caller` in this network. Only the first caller counts.
    pub(crate) fn count_for(&self, caller: &CallerBytes, network: IpAddr) {
        self.owner.get_or_init(|| {
            let owner =
                Owner { caller: caller.clone(), network, of_network: self.state.networks.enter(network) };
            let bytes = self.bytes.load(Ordering::Relaxed);
            owner.caller.add(bytes);
            owner.of_network.add(bytes);
            owner
        });
    }

    /// The network of its caller, as far as that is known.
    fn network(&self) -> Option<IpAddr> {
        self.owner.get().map(|owner| owner.network)
    }

    /// Counts the bytes. Returns whether there is room for them in total, for its caller and for the network, or they
    /// need none because they are few. In total and for the network, others may have to make room.
    fn keep(&self, bytes: usize, is_small: bool, others_make_room: bool) -> bool {
        let state = &self.state;
        state.metrics.add_bytes(bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = state.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let of_owner =
            self.owner.get().map(|owner| (owner, owner.caller.add(bytes), owner.of_network.add(bytes)));
        if is_small {
            return true;
        }
        let has_room = |bytes: usize, most: usize, in_network_of: Option<&Owner>| {
            bytes <= most || others_make_room && state.make_room(in_network_of)
        };
        let has_share = of_owner.is_none_or(|(owner, of_caller, of_network)| {
            of_caller <= state.most_bytes_per_caller
                && has_room(of_network, state.most_bytes_per_network, Some(owner))
        });
        has_share && has_room(all, state.most_bytes, None)
    }

    /// Releases the bytes, because the answer is complete or will be another one, and returns how many they were.
    pub(crate) fn forget(&self) -> usize {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        self.released(bytes);
        self.state.streams.leave(&self.is_stream);
        bytes
    }

    /// Counts bytes no longer that it had.
    fn released(&self, bytes: usize) {
        if bytes > 0 {
            self.state.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.state.metrics.remove_bytes(bytes);
            if let Some(owner) = self.owner.get() {
                owner.caller.remove(bytes);
                owner.of_network.remove(bytes);
            }
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.forget();
        self.not_anonymous();
        self.leave_place();
        if let Some(owner) = self.owner.get() {
            self.state.networks.leave(owner.network);
        }
    }
}

#[cfg(test)]
mod tests;
