//! The subjects of limits.

use std::net::IpAddr;

use events::UserId;
use http_server::network_of;

/// A subject with its own budget in a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Network(IpAddr),
    /// The same for program tokens that are not known to be valid. It is separate, so that requests without a token
    /// do not block programs.
    Unproven(IpAddr),
    User(UserId),
    /// An e-mail address together with the network that tries it, so that strangers do not use the owner's budget.
    Account {
        email: String,
        from: IpAddr,
    },
}

impl Subject {
    /// The network of `address`. A household or a machine has an IPv6 network of 64 bits, which counts as one.
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::Network(network_of(address))
    }

    /// The network of `address`, for program tokens that may be invented.
    pub(super) fn unproven(address: IpAddr) -> Self {
        Self::Unproven(network_of(address))
    }

    /// The account of `email`, tried from `address`.
    pub(crate) fn account(email: String, address: IpAddr) -> Self {
        Self::Account { email, from: network_of(address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_spend_what_the_owner_needs() {
        let tried_from =
            |address: &str| Subject::account("ada@example.org".to_owned(), address.parse().unwrap());
        assert_ne!(tried_from("192.0.2.1"), tried_from("198.51.100.7"));
        assert_eq!(tried_from("2001:db8:1:2::1"), tried_from("2001:db8:1:2::2"));
    }

    #[test]
    fn ipv6_is_counted_by_network_and_ipv4_by_address() {
        let network = |text: &str| Subject::network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
