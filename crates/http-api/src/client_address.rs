//! The client's address: the peer of the connection, or the address that a trusted peer reports.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};
use http_server::HttpService;
use ipnet::IpNet;

use crate::headers::X_FORWARDED_FOR;

/// The client's address, among the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The peers whose `X-Forwarded-For` is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers(Arc<[IpNet]>);

/// The text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address such as 192.0.2.7, nor a network such as 10.0.0.0/8")]
pub struct NotANetwork(String);

impl Peers {
    /// Parses networks, each written as a network or as one address.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, NotANetwork> {
        networks.into_iter().map(str::trim).map(network).collect::<Result<_, _>>().map(Self)
    }

    /// The addresses of this machine that no other machine reaches.
    pub fn loopback() -> Self {
        // Both are valid.
        Self::parse(["127.0.0.0/8", "::1/128"]).unwrap_or_default()
    }

    /// Whether `address` is one of them.
    pub fn include(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a request with these headers that came from `peer`. Each proxy appends the address of its peer
    /// at the right, so the list is read from there, for as long as the writer of an entry is trusted. An entry that
    /// is not an address ends the list.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values = headers.get_all(&X_FORWARDED_FOR).iter().rev();
        let mut entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        while self.include(client)
            && let Some(before) = entries.next().and_then(address)
        {
            client = before;
        }
        client
    }
}

impl FromStr for Peers {
    type Err = NotANetwork;

    /// A list, separated by commas; it may be empty.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        match text.trim() {
            "" => Ok(Self::default()),
            text => Self::parse(text.split(',')),
        }
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

/// Removes `X-Forwarded-For` from requests whose peers are not among `peers`. For a role behind the gateway, which
/// trusts the gateway's header.
pub fn believing_only(peers: Peers, service: HttpService) -> HttpService {
    service.preparing(move |request| {
        let peer = peer(request.extensions());
        if peer.is_some_and(|peer| !peers.include(peer)) {
            request.headers_mut().remove(&X_FORWARDED_FOR);
        }
    })
}

/// The other end of the connection.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map(|peer| peer.0.ip().to_canonical())
}

fn network(text: &str) -> Result<IpNet, NotANetwork> {
    text.parse::<IpNet>()
        .map(|network| network.trunc())
        .or_else(|_| text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())))
        .map_err(|_| NotANetwork(text.to_owned()))
}

/// One entry of `X-Forwarded-For`: an address, with a port or without one, as proxies write it.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = text
        .parse()
        .ok()
        .or_else(|| bare?.parse().ok())
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peers: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(&X_FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let peers: Peers = peers.parse().unwrap();
        peers.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn strangers_are_not_believed() {
        assert_eq!(client("", "192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "::ffff:192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
    }

    #[test]
    fn the_list_is_read_from_the_right_as_far_as_it_was_written_by_those_who_are_believed() {
        let peers = "10.0.0.0/8, 2001:db8::1";
        assert_eq!(client(peers, "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(peers, "10.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(peers, "10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"]), "1.2.3.4");
        assert_eq!(client(peers, "2001:db8::1", &["6.6.6.6, 1.2.3.4,10.9.9.9"]), "1.2.3.4");
        assert_eq!(client(peers, "::ffff:10.0.0.1", &["::ffff:1.2.3.4"]), "1.2.3.4");
    }

    #[test]
    fn a_list_of_proxies_alone_names_the_first_of_them() {
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn what_names_no_address_ends_the_list() {
        for forged in
            ["unknown", "", "1.2.3", "1.2.3.4, unknown", "1.2.3.4,", "\u{7f}", "1.2.3.4:99999", "_hidden"]
        {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(forged) {
                headers.insert(&X_FORWARDED_FOR, value);
            }
            let peers: Peers = "10.0.0.1".parse().unwrap();
            let client = peers.client("10.0.0.1".parse().unwrap(), &headers);
            assert_eq!(client.to_string(), "10.0.0.1", "{forged:?}");
        }
    }

    #[test]
    fn ports_and_brackets_are_left_out() {
        for (written, read) in [
            ("1.2.3.4:5678", "1.2.3.4"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            (" 2001:db8::7 ", "2001:db8::7"),
        ] {
            assert_eq!(client("10.0.0.1", "10.0.0.1", &[written]), read);
        }
    }

    #[test]
    fn networks_are_written_as_such() {
        assert!("10.0.0.0/33".parse::<Peers>().is_err());
        assert!("example.com".parse::<Peers>().is_err());
        assert!("10.0.0.1,,10.0.0.2".parse::<Peers>().is_err());
        for (address, is_loopback) in [
            ("127.0.0.9", true),
            ("::ffff:127.0.0.1", true),
            ("::1", true),
            ("192.168.7.7", false),
            ("192.0.2.1", false),
            ("fd00::1", false),
        ] {
            let included = Peers::loopback().include(address.parse().unwrap());
            assert_eq!(included, is_loopback, "{address}");
        }
    }
}
