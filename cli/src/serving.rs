//! Running until asked to stop, then finishing what was accepted: first the requests, then the background work.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, ensure};
use axum::Router;
use bus::Bus;
use http_server::{Pressure, ServerOptions, Workers, bind, serve};
use runtime::Background;
use tls::ServerTls;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    databases,
    graceful_shutdown::NOTICE,
    settings::{Connections, Settings},
};

/// How long background work may take to finish before it is cut off. Nothing is lost then, only done again.
const GRACE: Duration = Duration::from_secs(15);

/// Connections at once to an address of probes and metrics.
const OPERATORS: usize = 128;

/// What runs in this process beside its servers.
#[derive(Clone)]
pub(crate) struct Process {
    limits: Connections,
    /// The background work of its roles.
    pub(crate) background: Background,
    /// What the API's address is served with, if over TLS.
    tls: Option<ServerTls>,
    /// What the API's address is served by, if not by the threads that everything else is done by.
    workers: Option<Workers>,
    /// What is closed when all is done.
    bus: Arc<OnceLock<Arc<dyn Bus>>>,
}

impl Process {
    /// # Errors
    /// When the files for TLS cannot be used.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let background = Background::default();
        let tls = settings.tls.files()?.map(ServerTls::load).transpose();
        let tls = tls.context("TASKLEDGER_TLS_CERTIFICATE, TASKLEDGER_TLS_KEY")?;
        if let Some(tls) = tls.clone() {
            let watching = tls.watch().context("cannot listen for SIGHUP")?;
            background.spawn_until_stopped("certificate", watching);
        }
        Ok(Self {
            limits: settings.connections.clone(),
            background,
            tls,
            workers: None,
            bus: Arc::default(),
        })
    }

    /// With threads of their own for the connections of the API's address.
    ///
    /// # Errors
    /// When the system has none.
    pub(crate) fn with_workers(mut self) -> anyhow::Result<Self> {
        self.workers = Some(Workers::start().context("cannot start a thread for each core")?);
        Ok(self)
    }

    /// What URLs of the API's address begin with.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Closes `bus` when everything else has ended.
    pub(crate) fn close_at_the_end(&self, bus: &Arc<dyn Bus>) {
        // A process has one bus.
        let _ = self.bus.set(Arc::clone(bus));
    }
}

/// A router on an address, bound already, so that a port in use is found before anything starts.
pub(crate) struct Listener {
    socket: tokio::net::TcpListener,
    address: SocketAddr,
    visitors: Visitors,
}

/// Who comes to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitors {
    /// Whoever comes.
    Strangers,
    /// The gateways, which have limited strangers already.
    Gateways,
    /// Probes and scrapers, who are answered also when nobody else is.
    Operators,
}

impl Listener {
    /// Listens on `address`.
    pub(crate) async fn open(address: SocketAddr, visitors: Visitors) -> anyhow::Result<Self> {
        let socket = bind(address).await?;
        let address = socket
            .local_addr()
            .context("cannot tell the address listened on")?;
        Ok(Self {
            socket,
            address,
            visitors,
        })
    }

    /// What may be connected and at work through it, when so many descriptors are there for clients.
    fn options(
        &self,
        limits: &Connections,
        tls: &Option<ServerTls>,
        descriptors: usize,
        pressure: &Pressure,
    ) -> ServerOptions {
        let usual = ServerOptions::default();
        // The gateway needs another descriptor for each request at work: its connection to a role.
        let max_connections = limits.max_connections.min(descriptors / 4 * 3);
        let max_requests = usual.max_requests.min(descriptors / 4);
        match self.visitors {
            Visitors::Strangers => ServerOptions {
                tls: tls.clone(),
                max_connections,
                max_connections_per_address: limits.max_connections_per_address,
                max_requests,
                pressure: Some(pressure.clone()),
                ..usual
            },
            Visitors::Gateways => ServerOptions {
                tls: tls.clone(),
                max_connections,
                max_requests,
                pressure: Some(pressure.clone()),
                ..usual
            },
            Visitors::Operators => ServerOptions {
                max_connections: OPERATORS,
                max_requests: OPERATORS,
                ..usual
            },
        }
    }

    /// The address listened on; its port is never 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves every listener until SIGINT or SIGTERM, or until background work has failed, then stops in order. A process that
/// announces its end does so by `leaving`, and takes requests for a moment longer.
pub(crate) async fn until_stopped(
    listeners: Vec<(Listener, Router)>,
    process: Process,
    leaving: Option<CancellationToken>,
) -> anyhow::Result<()> {
    let Process {
        limits,
        background,
        tls,
        workers,
        bus,
    } = process;
    let descriptors = runtime::descriptors::raise();
    let pressure = Pressure::default();
    let told = pressure.clone();
    let watching = runtime::memory::watch(limits.memory_limit(), move |short| told.set(short));
    background.spawn_until_stopped("memory", watching);
    let closing = CancellationToken::new();
    let servers = TaskTracker::new();
    for (listener, router) in listeners {
        let mut options = listener.options(&limits, &tls, descriptors, &pressure);
        if listener.visitors != Visitors::Operators {
            options.workers.clone_from(&workers);
        }
        servers.spawn(serve(listener.socket, router, options, closing.clone()));
    }
    servers.close();
    let failed = tokio::select! {
        asked = wait_for_signal() => asked.map(|()| false)?,
        () = background.stop().cancelled_owned() => true,
    };
    tracing::info!("stopping: finishing what was accepted");
    if let Some(leaving) = leaving.filter(|_| !failed) {
        leaving.cancel();
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
    if let Some(bus) = bus.get() {
        bus.close().await;
    }
    databases::close_all().await;
    tracing::info!("stopped");
    ensure!(!failed, "background work has panicked");
    Ok(())
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
