//! Measures the memory of a gateway: at its start, with ten thousand idle connections, and after requests from a
//! million addresses, each of which its limits count.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::net::{TcpSocket, TcpStream};

use super::{
    nginx::Nginx,
    second_gateway::{BY_ADDRESS, in_front_of, quiet},
    wrk,
};
use crate::{
    output::{print, verdict},
    system::{System, UNLIMITED},
};

const IDLE: usize = 10_000;
/// Number of source addresses.
const SOURCES: usize = 50;
const MAX_MIB_AT_START: f64 = 20.0;
/// Maximum MiB of memory.
const MAX_MIB: f64 = 200.0;

/// A `wrk` script that sends a new client address with each request, beginning with number N.
const NEW_ADDRESSES: &str = "local n = N\n\
    request = function()\n\
      n = n + 1\n\
      local address = math.floor(n / 16777216) % 200 + 20 .. '.' .. math.floor(n / 65536) % 256 .. '.' \
        .. math.floor(n / 256) % 256 .. '.' .. n % 256\n\
      return wrk.format('GET', nil, {['X-Forwarded-For'] = address})\n\
    end\n";

pub(super) async fn run(system: &mut System, upstream: &Nginx, addresses: u64) -> anyhow::Result<()> {
    let settings = [quiet(), ("TASKLEDGER_MAX_CONNECTIONS", (IDLE + 1_000).to_string())];
    // The client address is the one that the load generator sends.
    let policy = format!("trusted_proxies = [\"127.0.0.1\"]\n{UNLIMITED}{BY_ADDRESS}");
    let gateway = in_front_of(system, upstream, &policy, &settings).await?;
    let at_start = system.memory_beside()?;
    let of_files = system.memory_of_files_beside()?;
    let judged = verdict(at_start <= MAX_MIB_AT_START);
    print(&format!(
        "memory of the gateway after the start: {at_start:.1} MiB, at most {MAX_MIB_AT_START}{judged}; {of_files:.1} of them are pages of the program file"
    ));
    let idle = connect_all(&gateway).await?;
    let with_idle = system.memory_beside()?;
    let judged = verdict(with_idle <= MAX_MIB);
    print(&format!(
        "with {} connections on which nothing happens: {with_idle:.1} MiB, at most {MAX_MIB}{judged}; {:.1} KiB for each",
        idle.len(),
        (with_idle - at_start) * 1024.0 / idle.len() as f64
    ));
    drop(idle);
    let script = system.directory().join("addresses.lua");
    let mut seen = 0;
    while seen < addresses {
        std::fs::write(&script, NEW_ADDRESSES.replace('N', &seen.to_string()))?;
        let span = Duration::from_secs(10);
        let outcome = wrk::ask(&gateway, "/.well-known/jwks.json", &[], Some(&script), span).await?;
        seen += outcome.requests;
    }
    let after = system.memory_beside()?;
    let judged = verdict(after <= MAX_MIB);
    print(&format!(
        "after requests of {seen} addresses: {after:.1} MiB, at most {MAX_MIB}{judged}; what limits remember has its size from the start"
    ));
    system.stop_beside()
}

/// Connects from several addresses, since the number for each is limited.
async fn connect_all(gateway: &str) -> anyhow::Result<Vec<TcpStream>> {
    runtime::descriptors::raise();
    let gateway: SocketAddr = gateway.parse()?;
    let mut connections = Vec::with_capacity(IDLE);
    for number in 0..IDLE {
        let socket = TcpSocket::new_v4()?;
        socket.bind(format!("127.1.0.{}:0", number % SOURCES + 1).parse()?)?;
        connections.push(socket.connect(gateway).await.context("an idle connection was refused")?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(connections)
}
