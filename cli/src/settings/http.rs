//! The settings of addresses, connections and memory.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::ensure;
use clap::Args;
use http_api::Peers;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct Http {
    /// Address to serve on [default: 127.0.0.1:8080, command-api 8081, query-api 8082, auth 8083]
    #[arg(long, env = "TASKLEDGER_LISTEN", value_name = "ADDRESS", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// Address of probes and metrics [default: 127.0.0.1:9090, command-api 9091, query-api 9092, auth 9093, projector
    /// 9094]
    #[arg(long, env = "TASKLEDGER_ADMIN_LISTEN", value_name = "ADDRESS", value_parser = listen_address)]
    admin_listen: Option<SocketAddr>,
    /// File with the gateway's limits and the proxies that it trusts, read again on SIGHUP [default: built in, see
    /// deploy/gateway.toml]
    #[arg(long, env = "TASKLEDGER_GATEWAY_CONFIG", value_name = "FILE")]
    pub(crate) gateway_config: Option<PathBuf>,
    /// Addresses and networks of the gateways, which the roles behind them believe about clients (separated by commas)
    /// [default: loopback]
    #[arg(long, env = "TASKLEDGER_GATEWAY_PEERS", value_name = "NETWORKS")]
    gateway_peers: Option<Peers>,
}

impl Http {
    /// The addresses of the API, and of probes and metrics, by default on loopback with these ports.
    pub(crate) fn addresses(&self, port: u16, admin_port: u16) -> anyhow::Result<(SocketAddr, SocketAddr)> {
        let (api, admin) = (self.listen.unwrap_or(loopback(port)), self.admin_address(admin_port));
        ensure!(
            !overlap(api, admin),
            "TASKLEDGER_LISTEN, {api}, and TASKLEDGER_ADMIN_LISTEN, {admin}, are the same port of one address: choose \
             another one for probes and metrics"
        );
        Ok((api, admin))
    }

    /// The address of probes and metrics, by default on loopback with this port.
    pub(crate) fn admin_address(&self, port: u16) -> SocketAddr {
        self.admin_listen.unwrap_or(loopback(port))
    }

    /// The peers whose `X-Forwarded-For` the roles behind the gateway believe. By default none from other machines: a
    /// neighbour in a private network could choose the address under which its guesses of passwords are counted.
    pub(crate) fn gateway_peers(&self) -> Peers {
        self.gateway_peers.clone().unwrap_or_else(Peers::loopback)
    }

    /// Logs a warning if other machines reach a role behind the gateway at `api`, and nobody said which gateways it
    /// believes.
    pub(crate) fn warn_of_unknown_gateways(&self, api: SocketAddr) {
        if self.gateway_peers.is_none() && !api.ip().to_canonical().is_loopback() {
            tracing::warn!(
                listen = %api,
                "TASKLEDGER_GATEWAY_PEERS is not set, so gateways on other machines are not believed about clients, \
                 and all their clients count as one address: name the addresses of the gateways there"
            );
        }
    }
}

pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Whether certainly only one of the two can be listened on. With port 0, the system chooses one that is free. Whether
/// `[::]` includes IPv4 is a setting of the system (`bindv6only`), and found out when both are listened on.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let includes = |all: SocketAddr, part: SocketAddr| {
        all.ip() == part.ip() || (all.ip().is_unspecified() && all.is_ipv4() == part.is_ipv4())
    };
    one.port() != 0 && one.port() == other.port() && (includes(one, other) || includes(other, one))
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How much at once")]
pub(crate) struct Connections {
    /// Concurrent connections to the API, if there are enough file descriptors
    #[arg(long, env = "TASKLEDGER_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "N",
          value_parser = at_least_one)]
    pub(crate) max_connections: usize,
    /// Concurrent connections from one address, with IPv6 from one network of 64 bits (gateway)
    #[arg(long, env = "TASKLEDGER_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 1_000, value_name = "N",
          value_parser = at_least_one)]
    pub(crate) max_connections_per_address: usize,
    /// Memory limit of this process; requests are refused from nine tenths of it [default: that of the control group
    /// or the machine]
    #[arg(long, env = "TASKLEDGER_MEMORY_LIMIT_MIB", value_name = "MIB",
          value_parser = clap::value_parser!(u64).range(64..=1_048_576))]
    memory_limit_mib: Option<u64>,
}

impl Connections {
    /// The memory limit in bytes.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.memory_limit_mib.map(|mib| mib * 1024 * 1024)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number, at least 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_on_another_machine_is_believed_by_default() {
        let http = Http { listen: None, admin_listen: None, gateway_config: None, gateway_peers: None };
        for (address, is_believed) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.0.0.1", false),
            ("172.17.0.1", false),
            ("203.0.113.1", false),
        ] {
            let included = http.gateway_peers().include(address.parse().unwrap());
            assert_eq!(included, is_believed, "{address}");
        }
    }

    #[test]
    fn one_port_of_one_address_serves_one_purpose() {
        let overlap = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|address| address.parse().unwrap());
            assert_eq!(overlap(one, other), overlap(other, one), "{one} {other}");
            overlap(one, other)
        };
        for (one, other) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
        ] {
            assert!(overlap(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:8080", "127.0.0.1:8081"),
            ("127.0.0.1:8080", "127.0.0.2:8080"),
            ("0.0.0.0:8080", "[::1]:8080"),
            ("[::]:8080", "127.0.0.1:8080"),
            ("[::]:8080", "0.0.0.0:8080"),
        ] {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }
}
