//! The settings of addresses, connections and memory.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use http_api::Peers;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct Http {
    /// Address to serve on [default: 127.0.0.1:8080, command-api 8081, query-api 8082, auth 8083]
    #[arg(long, global = true, env = "TASKLEDGER_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address of probes and metrics [default: 127.0.0.1:9090, command-api 9091, query-api 9092, auth 9093, projector
    /// 9094]
    #[arg(long, global = true, env = "TASKLEDGER_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// File with the gateway's limits and the proxies that it trusts, read again on SIGHUP [default: built in, see
    /// deploy/gateway.toml]
    #[arg(long, global = true, env = "TASKLEDGER_GATEWAY_CONFIG", value_name = "FILE")]
    pub(crate) gateway_config: Option<PathBuf>,
    /// Addresses and networks of the gateways, which the roles behind them believe about clients (separated by commas)
    /// [default: loopback and private networks]
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_GATEWAY_PEERS",
        value_name = "NETWORKS"
    )]
    gateway_peers: Option<Peers>,
}

impl Http {
    /// The peers whose `X-Forwarded-For` the roles behind the gateway believe.
    pub(crate) fn gateway_peers(&self) -> Peers {
        self.gateway_peers.clone().unwrap_or_else(Peers::private)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How much at once")]
pub(crate) struct Connections {
    /// Concurrent connections to the API, if there are enough file descriptors
    #[arg(long, global = true, env = "TASKLEDGER_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "N",
          value_parser = at_least_one)]
    pub(crate) max_connections: usize,
    /// Concurrent connections from one address, with IPv6 from one network of 64 bits (gateway)
    #[arg(long, global = true, env = "TASKLEDGER_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 1_000, value_name = "N",
          value_parser = at_least_one)]
    pub(crate) max_connections_per_address: usize,
    /// Memory limit of this process; requests are refused from nine tenths of it [default: that of the control group
    /// or the machine]
    #[arg(long, global = true, env = "TASKLEDGER_MEMORY_LIMIT_MIB", value_name = "MIB",
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
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "expected a number, at least 1".to_owned())
}
