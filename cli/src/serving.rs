//! Serves until the process is asked to stop, then finishes the accepted requests, and after them the background
//! work.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use bus::Bus;
use http_server::{HeadLimits, HttpService, Pressure, ServerOptions, Workers, bind, serve};
use runtime::Background;
use tls::ServerTls;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    databases,
    graceful_shutdown::NOTICE,
    settings::{Connections, Settings},
};

/// Maximum time for background work to finish. After that it is aborted, which loses nothing: it is done again at the
/// next start.
const GRACE: Duration = Duration::from_secs(15);

/// Maximum number of connections to an address of probes and metrics.
const OPERATORS: usize = 128;

/// The shared parts of this process besides its servers.
pub(crate) struct Process {
    limits: Connections,
    /// The background work of its roles.
    pub(crate) background: Background,
    /// TLS settings of the API's address, if it is served over TLS.
    tls: Option<ServerTls>,
    /// Separate threads that serve the API's address, if there are any.
    workers: Option<Workers>,
    /// The bus, which is closed after everything else has ended.
    pub(crate) bus: Option<Arc<dyn Bus>>,
}

impl Process {
    /// Reads the files of TLS.
    pub(crate) async fn new(settings: &Settings) -> anyhow::Result<Self> {
        settings.log_ignored_variables();
        let background = Background::default();
        let tls = settings.tls.load().await?;
        if let Some(tls) = tls.clone() {
            let watching = tls.watch().context("cannot listen for SIGHUP")?;
            background.spawn_until_stopped("certificate", watching);
        }
        Ok(Self { limits: settings.connections.clone(), background, tls, workers: None, bus: None })
    }

    /// Serves the connections of the API's address on threads of their own.
    pub(crate) fn with_workers(mut self) -> anyhow::Result<Self> {
        self.workers = Some(Workers::start().context("cannot start a thread for each core")?);
        Ok(self)
    }

    pub(crate) fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }
}

/// A router and its bound socket. It is bound before anything starts, so that a port in use is reported first.
pub(crate) struct Listener {
    socket: tokio::net::TcpListener,
    address: SocketAddr,
    clients: ClientKind,
}

/// The clients of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// Anyone.
    Anyone,
    /// The gateways, which have already limited anonymous clients.
    Gateways,
    /// Probes and metrics collectors, which are served even when the process is overloaded.
    Operators,
}

impl Listener {
    pub(crate) async fn open(address: SocketAddr, clients: ClientKind) -> anyhow::Result<Self> {
        let socket = bind(address).await?;
        let address = socket.local_addr().context("cannot tell the address listened on")?;
        Ok(Self { socket, address, clients })
    }

    /// The limits of the server, when `descriptors` file descriptors are available for clients.
    fn options(
        &self,
        limits: &Connections,
        tls: &Option<ServerTls>,
        descriptors: usize,
        pressure: &Pressure,
    ) -> ServerOptions {
        let usual = ServerOptions::default();
        // The gateway needs a second descriptor for each active request, for its connection to a role.
        let max_connections = limits.max_connections.min(descriptors / 4 * 3);
        let max_requests = usual.max_requests.min(descriptors / 4);
        match self.clients {
            ClientKind::Anyone => ServerOptions {
                tls: tls.clone(),
                max_connections,
                max_connections_per_address: limits.max_connections_per_address,
                max_requests,
                pressure: Some(pressure.clone()),
                ..usual
            },
            ClientKind::Gateways => ServerOptions {
                tls: tls.clone(),
                head_limits: HeadLimits::OF_GATEWAYS,
                max_connections,
                max_requests,
                pressure: Some(pressure.clone()),
                ..usual
            },
            ClientKind::Operators => {
                ServerOptions { max_connections: OPERATORS, max_requests: OPERATORS, ..usual }
            }
        }
    }

    /// The bound address. Its port is never 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves every listener until SIGINT or SIGTERM, or until background work has failed, then stops in order. With
/// `leaving`, the process first reports that it is not ready, and accepts requests for a moment longer.
pub(crate) async fn until_stopped(
    listeners: Vec<(Listener, HttpService)>,
    process: Process,
    leaving: Option<Arc<AtomicBool>>,
) -> anyhow::Result<()> {
    let Process { limits, background, tls, workers, bus } = process;
    let descriptors = runtime::descriptors::raise();
    let pressure = Pressure::default();
    let told = pressure.clone();
    let watching =
        runtime::memory::watch(limits.memory_limit(), move |short| told.set(short), background.stop());
    background.spawn("memory", watching);
    let closing = CancellationToken::new();
    let servers = TaskTracker::new();
    for (listener, service) in listeners {
        let mut options = listener.options(&limits, &tls, descriptors, &pressure);
        if listener.clients != ClientKind::Operators {
            options.workers.clone_from(&workers);
        }
        servers.spawn(serve(listener.socket, service, options, closing.clone()));
    }
    servers.close();
    tokio::select! {
        asked = wait_for_signal() => asked?,
        () = background.stop().cancelled_owned() => {}
    }
    tracing::info!("stopping: finishing what was accepted");
    if let Some(leaving) = leaving.filter(|_| background.failure().is_none()) {
        leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(NOTICE).await;
    }
    closing.cancel();
    servers.wait().await;
    if !background.shut_down(GRACE).await {
        tracing::warn!(
            grace_s = GRACE.as_secs(),
            "background work did not finish in time; it will be done again at the next start"
        );
    }
    if let Some(bus) = bus {
        bus.close().await;
    }
    databases::close_all().await;
    tracing::info!("stopped");
    match background.failure() {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}

/// Waits until this process is asked to stop.
pub(crate) async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
