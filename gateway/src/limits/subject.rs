//! Who is counted.

use std::net::IpAddr;

use events::UserId;
use http_server::network_of;

/// Someone with a budget of their own in a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Network(IpAddr),
    User(UserId),
    Account(String),
}

impl Subject {
    /// Whoever sends from `address`. A household or a machine has a network of 64 bits of IPv6 addresses to itself, so all
    /// of them are one.
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::Network(network_of(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_is_counted_by_network_and_ipv4_by_address() {
        let network = |text: &str| Subject::network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
