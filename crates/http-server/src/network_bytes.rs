//! The bytes in memory that belong to the callers of each network.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
};

use parking_lot::Mutex;

use crate::caller_bytes::CallerBytes;

/// The networks that have requests in progress.
#[derive(Default)]
pub(crate) struct NetworkBytes(Mutex<HashMap<IpAddr, OfNetwork>>);

#[derive(Default)]
struct OfNetwork {
    requests: usize,
    bytes: CallerBytes,
}

impl NetworkBytes {
    /// Begins a request from `network`, and returns the bytes of all its requests.
    pub(crate) fn enter(&self, network: IpAddr) -> CallerBytes {
        let mut networks = self.0.lock();
        let of_network = networks.entry(network).or_default();
        of_network.requests += 1;
        of_network.bytes.clone()
    }

    /// Ends a request from `network`.
    pub(crate) fn leave(&self, network: IpAddr) {
        let mut networks = self.0.lock();
        if let Entry::Occupied(mut of_network) = networks.entry(network) {
            of_network.get_mut().requests -= 1;
            if of_network.get().requests == 0 {
                of_network.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_without_requests_is_not_remembered() {
        let networks = NetworkBytes::default();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        networks.enter(one).add(5);
        assert_eq!((networks.enter(one).add(2), networks.enter(other).add(0)), (7, 0));
        networks.leave(one);
        assert_eq!(networks.enter(one).add(0), 7);
        for network in [one, one, other] {
            networks.leave(network);
        }
        assert!(networks.0.lock().is_empty());
    }
}
