//! One role as a process of its own, over servers.

use std::time::Duration;

use anyhow::Context as _;
use database::Schema;
use gateway::Upstream;
use http_server::HttpService;
use runtime::{Background, read_at_start};
use tokio_util::sync::CancellationToken;

use crate::{
    databases,
    dependencies::Dependencies,
    graceful_shutdown, platform,
    serving::{ClientKind, Listener, Process, until_stopped},
    settings::Settings,
    sole_process,
};

/// The default addresses of a role: loopback, with ports of its own.
struct Defaults {
    role: &'static str,
    port: Option<u16>,
    admin_port: u16,
    kind: Kind,
}

impl Defaults {
    const fn of(role: &'static str, port: Option<u16>, admin_port: u16, kind: Kind) -> Self {
        Self {
            role,
            port,
            admin_port,
            kind,
        }
    }
}

/// Who connects to a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The gateway, which anyone can reach and which needs no database.
    Public,
    /// A role behind the gateway, on an internal network.
    Internal,
}

pub(crate) async fn auth(settings: &Settings) -> anyhow::Result<()> {
    let defaults = Defaults::of("auth", Some(8083), 9093, Kind::Internal);
    run(settings, &defaults, async |dependencies, background| {
        auth::start(auth_config(settings), dependencies.auth().await?, background).await
    })
    .await
}

pub(crate) async fn command_api(settings: &Settings) -> anyhow::Result<()> {
    let defaults = Defaults::of("command-api", Some(8081), 9091, Kind::Internal);
    run(settings, &defaults, async |dependencies, background| {
        let dependencies = dependencies.command_api(background).await?;
        command_api::start(command_config(settings), dependencies, background).await
    })
    .await
}

pub(crate) async fn query_api(settings: &Settings) -> anyhow::Result<()> {
    let defaults = Defaults::of("query-api", Some(8082), 9092, Kind::Internal);
    run(settings, &defaults, async |dependencies, background| {
        // Its mistakes are told before anything has started.
        let config = query_config(settings)?;
        let dependencies = dependencies.query_api(background).await?;
        query_api::start(config, dependencies, background).await
    })
    .await
}

pub(crate) async fn projector(settings: &Settings) -> anyhow::Result<()> {
    let defaults = Defaults::of("projector", None, 9094, Kind::Internal);
    run(settings, &defaults, async |dependencies, background| {
        projector::start(
            projector_config(settings),
            dependencies.projector().await?,
            background,
        )
        .await
    })
    .await
}

pub(crate) async fn gateway(settings: &Settings) -> anyhow::Result<()> {
    let defaults = Defaults::of("gateway", Some(8080), 9090, Kind::Public);
    run(settings, &defaults, async |dependencies, background| {
        let verifier = dependencies.verifier(background).await?;
        gateway::start(gateway_config(settings), verifier, background).await
    })
    .await
}

/// Runs a role until the process is asked to stop.
async fn run(
    settings: &Settings,
    defaults: &Defaults,
    start: impl AsyncFnOnce(&Dependencies<'_>, &Background) -> anyhow::Result<HttpService>,
) -> anyhow::Result<()> {
    platform::require_servers(settings, defaults.role, defaults.kind == Kind::Internal)?;
    let clients = match defaults.kind {
        Kind::Public => ClientKind::Anyone,
        Kind::Internal => ClientKind::Gateways,
    };
    let (api, admin) = match defaults.port {
        Some(port) => {
            let (api, admin) = settings.http.addresses(port, defaults.admin_port)?;
            (Some(Listener::open(api, clients).await?), admin)
        }
        None => (None, settings.http.admin_address(defaults.admin_port)),
    };
    let admin = Listener::open(admin, ClientKind::Operators).await?;
    let process = match defaults.kind {
        Kind::Public => {
            let config = gateway_config(settings);
            let checked = read_at_start(move || gateway::check(&config)).await;
            checked.context("the gateway cannot read its files")??;
            Process::new(settings).await?.with_workers()?
        }
        Kind::Internal => Process::new(settings).await?,
    };
    if let (Kind::Internal, Some(listener)) = (defaults.kind, &api) {
        settings.http.warn_of_unknown_gateways(listener.address());
    }
    let dependencies = Dependencies::new(settings, defaults.role);
    process.close_at_the_end(&dependencies.bus().await?);
    if defaults.kind == Kind::Internal {
        sole_process::lock(settings, &process.background).await?;
    }
    let service = start(&dependencies, &process.background).await?;

    let listen = api.as_ref().map(|listener| listener.address().to_string());
    tracing::info!(role = defaults.role, listen, admin.listen = %admin.address(), "ready");
    let leaving = api.is_some().then(CancellationToken::new);
    let service = match &leaving {
        Some(leaving) => graceful_shutdown::announced(service, leaving.clone()),
        None => service,
    };
    let admin = (admin, http_api::admin_of(service.clone()));
    let service = match defaults.kind {
        Kind::Public => http_api::public_of(service),
        Kind::Internal => http_api::believing_only(settings.http.gateway_peers(), service),
    };
    let api = api.map(|listener| (listener, service));
    let listeners = api.into_iter().chain([admin]).collect();
    until_stopped(listeners, process, leaving).await
}

pub(crate) fn gateway_config(settings: &Settings) -> gateway::Config {
    let urls = &settings.upstreams;
    gateway::Config {
        command_api: Upstream::Http(urls.command_api_url.clone()),
        query_api: Upstream::Http(urls.query_api_url.clone()),
        auth: Upstream::Http(urls.auth_url.clone()),
        projector: Upstream::Http(urls.projector_url.clone()),
        upstream_ca: settings.tls.upstream_ca.clone(),
        policy: settings.http.gateway_config.clone(),
    }
}

pub(crate) fn auth_config(settings: &Settings) -> auth::Config {
    auth::Config {
        access_token_ttl: settings.access_token_lifetime(),
        session_idle: Duration::from_secs(u64::from(settings.auth.session_idle_hours) * 60 * 60),
        second_factor_roles: settings.auth.second_factor_roles.iter().copied().collect(),
        argon2: auth::Argon2Parameters {
            memory_kib: settings.auth.argon2_memory_kib,
            iterations: settings.auth.argon2_passes,
            parallelism: settings.auth.argon2_lanes,
        },
        min_password_characters: usize::from(settings.auth.password_min_characters),
        breached_passwords: settings.auth.breached_passwords.clone(),
        ..auth::Config::new(settings.keys_dir())
    }
}

pub(crate) fn command_config(settings: &Settings) -> command_api::Config {
    command_api::Config {
        partitions: settings.storage.partitions,
        trash_kept_for: settings.retention.trash(),
    }
}

pub(crate) fn query_config(settings: &Settings) -> anyhow::Result<query_api::Config> {
    Ok(query_api::Config {
        partitions: settings.storage.partitions,
        cursor_key: settings.cursor_key()?,
        connections: databases::connections_to(&platform::database_url(
            &settings.storage,
            Schema::ReadModels,
        )?) as usize,
    })
}

pub(crate) fn projector_config(settings: &Settings) -> projector::Config {
    projector::Config {
        partitions: settings.storage.partitions,
    }
}
