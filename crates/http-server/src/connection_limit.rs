//! Limits the number of connections, in total and from one address. When there is no place, the connections that have
//! waited longest for their clients are closed, so that idle connections make room for active ones. A connection that
//! has given up its place keeps its descriptor until its task has run, so new ones wait for that.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use runtime::Counted;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    activity::Activity,
    connection_metrics::{ConnectionMetrics, Reason},
    options::ServerOptions,
};

/// When room is made, this fraction of all connections is closed.
const PART: usize = 32;
/// How long a new connection waits for those that have given up their places. They wait for nobody, so it takes a
/// moment, unless their thread stands still.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

/// The network of an address: an IPv4 address, or an IPv6 network of 64 bits, which usually belongs to one household
/// or machine.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d, 0, 0, 0, 0].into()
        }
    }
}

/// The places of one server.
#[derive(Clone)]
pub(crate) struct ConnectionLimit(Arc<Shared>);

struct Shared {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
    /// Notified when a connection has closed that had given up its place.
    closed: Notify,
    metrics: ConnectionMetrics,
}

#[derive(Default)]
struct Taken {
    last: u64,
    connections: HashMap<u64, Connection>,
    of: HashMap<IpAddr, usize>,
    /// How many connections have given up their places and are still open.
    closing: usize,
}

struct Connection {
    network: IpAddr,
    activity: Activity,
    close: CancellationToken,
}

/// The place of one connection, until it is dropped.
pub(crate) struct Place {
    shared: Arc<Shared>,
    number: u64,
    /// Cancelled when the place is given to another connection.
    pub(crate) close: CancellationToken,
    _open: Counted,
}

impl ConnectionLimit {
    pub(crate) fn new(options: &ServerOptions, metrics: ConnectionMetrics) -> Self {
        Self(Arc::new(Shared {
            most: options.max_connections.max(1),
            most_of_one: options.max_connections_per_address.max(1),
            taken: Mutex::default(),
            closed: Notify::new(),
            metrics,
        }))
    }

    /// Waits while more than a few connections have given up their places and are still open. Otherwise connections
    /// that come faster than others are closed would use up the descriptors.
    pub(crate) async fn displaced_are_closed(&self) {
        let few = (self.0.most / PART).max(1);
        let closed = async {
            while self.0.taken.lock().closing > few {
                self.0.closed.notified().await;
            }
        };
        if timeout(CLOSING_TIMEOUT, closed).await.is_err() {
            // A thread that stands still must not keep everybody out.
            self.0.taken.lock().closing = 0;
        }
    }

    /// A place for a connection from `address`, if there is one or one can be made.
    pub(crate) fn take(&self, address: IpAddr, activity: &Activity) -> Option<Place> {
        let network = network_of(address);
        let Shared { most, most_of_one, metrics, .. } = &*self.0;
        let mut displaced = 0;
        let mut taken = self.0.taken.lock();
        if taken.of.get(&network).is_some_and(|count| count >= most_of_one) {
            displaced += taken.make_room(*most_of_one, |connection| connection.network == network);
        }
        if taken.connections.len() >= *most {
            displaced += taken.make_room(*most, |_| true);
        }
        let of_one = taken.of.get(&network).copied().unwrap_or_default();
        let refusal = if of_one >= *most_of_one {
            Some(Reason::Address)
        } else {
            (taken.connections.len() >= *most).then_some(Reason::Total)
        };
        if let Some(reason) = refusal {
            drop(taken);
            metrics.refused(Reason::Displaced, displaced, Some(address));
            metrics.refused(reason, 1, Some(address));
            return None;
        }
        taken.last += 1;
        let number = taken.last;
        let close = CancellationToken::new();
        let connection = Connection { network, activity: activity.clone(), close: close.clone() };
        taken.connections.insert(number, connection);
        taken.of.insert(network, of_one + 1);
        drop(taken);
        metrics.refused(Reason::Displaced, displaced, Some(address));
        Some(Place { shared: Arc::clone(&self.0), number, close, _open: metrics.opened() })
    }
}

impl Taken {
    /// Closes those of the given connections that have waited longest for their clients, and returns how many. It
    /// closes a fraction of `most`, so that the search is not repeated for each new connection.
    fn make_room(&mut self, most: usize, in_question: impl Fn(&Connection) -> bool) -> usize {
        let mut waiting: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| in_question(connection))
            .filter_map(|(number, connection)| Some((connection.activity.waiting_since()?, *number)))
            .collect();
        let count = (most / PART).max(1).min(waiting.len());
        if count == 0 {
            return 0;
        }
        waiting.select_nth_unstable(count - 1);
        for (_, number) in &waiting[..count] {
            if let Some(connection) = self.leave(*number) {
                self.closing += 1;
                connection.close.cancel();
            }
        }
        count
    }

    fn leave(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        if let Some(count) = self.of.get_mut(&connection.network) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&connection.network);
            }
        }
        Some(connection)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        if taken.leave(self.number).is_none() {
            // It was given to another connection before.
            taken.closing = taken.closing.saturating_sub(1);
            self.shared.closed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn places(most: usize, of_one: usize) -> ConnectionLimit {
        let options = ServerOptions {
            max_connections: most,
            max_connections_per_address: of_one,
            ..ServerOptions::default()
        };
        ConnectionLimit::new(&options, ConnectionMetrics::new())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_waited_longest_gives_up_the_place() {
        let places = places(2, 2);
        let first = places.take(address("192.0.2.1"), &Activity::new()).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = places.take(address("192.0.2.2"), &Activity::new()).unwrap();
        let third = places.take(address("192.0.2.3"), &Activity::new()).unwrap();
        assert!(first.close.is_cancelled() && !second.close.is_cancelled());
        // It leaves after its place was given away.
        drop(first);
        assert_eq!(places.0.taken.lock().connections.len(), 2);
        drop((second, third));
        let taken = places.0.taken.lock();
        assert!(taken.connections.is_empty() && taken.of.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn new_connections_wait_until_those_without_a_place_have_closed() {
        let places = places(64, 64);
        let take = || places.take(address("192.0.2.1"), &Activity::new()).unwrap();
        // Two are displaced at a time, so that six are.
        let mut open: Vec<_> = (0..70).map(|_| take()).collect();
        assert_eq!(places.0.taken.lock().closing, 6);
        let begun = Instant::now();
        let closing = async {
            tokio::time::sleep(CLOSING_TIMEOUT / 2).await;
            open.retain(|place| !place.close.is_cancelled());
        };
        tokio::join!(places.displaced_are_closed(), closing);
        assert!(begun.elapsed() >= CLOSING_TIMEOUT / 2 && begun.elapsed() < CLOSING_TIMEOUT);

        // They do not wait for a thread that stands still, again and again.
        open.extend((0..6).map(|_| take()));
        let begun = Instant::now();
        places.displaced_are_closed().await;
        assert!(begun.elapsed() >= CLOSING_TIMEOUT);
        let begun = Instant::now();
        places.displaced_are_closed().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        drop(open);
        assert_eq!(places.0.taken.lock().closing, 0);
    }

    #[tokio::test]
    async fn one_network_displaces_only_itself() {
        let places = places(100, 2);
        let other = places.take(address("192.0.2.1"), &Activity::new()).unwrap();
        let mut own = Vec::new();
        for number in 1..=20 {
            let address = address(&format!("2001:db8::{number:x}"));
            own.push(places.take(address, &Activity::new()).unwrap());
        }
        assert!(!other.close.is_cancelled());
        assert_eq!(own.iter().filter(|place| !place.close.is_cancelled()).count(), 2);
    }

    #[tokio::test]
    async fn nobody_who_is_being_served_is_displaced() {
        let places = places(1, 1);
        let activity = Activity::new();
        let first = places.take(address("192.0.2.1"), &activity).unwrap();
        let busy = activity.busy(true);
        assert!(places.take(address("192.0.2.2"), &Activity::new()).is_none());
        drop(busy);
        assert!(places.take(address("192.0.2.2"), &Activity::new()).is_some());
        assert!(first.close.is_cancelled());
    }
}
