//! One role as a process of its own, over servers.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use database::Schema;
use gateway::Upstream;
use http_server::HttpService;
use runtime::{Background, read_at_start};

use crate::{
    databases,
    dependencies::Dependencies,
    graceful_shutdown, platform,
    serving::{ClientKind, Listener, Process, until_stopped},
    settings::Settings,
    sole_process,
};

/// A role that can be a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// What anyone can reach. It needs no database, unlike the roles behind it on an internal network.
    Gateway,
    CommandApi,
    QueryApi,
    Auth,
    Projector,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::CommandApi => "command-api",
            Self::QueryApi => "query-api",
            Self::Auth => "auth",
            Self::Projector => "projector",
        }
    }

    /// The default ports, on loopback: of the API, which the projector does not have, and of probes and metrics.
    const fn ports(self) -> (Option<u16>, u16) {
        match self {
            Self::Gateway => (Some(8080), 9090),
            Self::CommandApi => (Some(8081), 9091),
            Self::QueryApi => (Some(8082), 9092),
            Self::Auth => (Some(8083), 9093),
            Self::Projector => (None, 9094),
        }
    }

    /// Starts the role in this process, and returns what it serves.
    pub(crate) async fn start(
        self,
        settings: &Settings,
        dependencies: &Dependencies<'_>,
        background: &Background,
    ) -> anyhow::Result<HttpService> {
        let partitions = settings.storage.partitions;
        match self {
            Self::Gateway => {
                let verifier = dependencies.verifier(background).await?;
                gateway::start(gateway_config(settings), verifier, background).await
            }
            Self::CommandApi => {
                let config = command_api::Config { partitions, trash_kept_for: settings.retention.trash() };
                let dependencies = dependencies.command_api(background).await?;
                command_api::start(config, dependencies, background).await
            }
            Self::QueryApi => {
                let url = platform::database_url(&settings.storage, Schema::ReadModels)?;
                // Its mistakes are told before anything has started.
                let config = query_api::Config {
                    partitions,
                    cursor_key: settings.cursor_key()?,
                    connections: databases::connections_to(&url) as usize,
                };
                let dependencies = dependencies.query_api(background).await?;
                query_api::start(config, dependencies, background).await
            }
            Self::Auth => {
                let dependencies = dependencies.auth().await?;
                auth::start(auth_config(settings), dependencies, background).await
            }
            Self::Projector => {
                let config = projector::Config { partitions };
                projector::start(config, dependencies.projector().await?, background).await
            }
        }
    }
}

/// Runs a role until the process is asked to stop.
pub(crate) async fn run(settings: &Settings, role: Role) -> anyhow::Result<()> {
    let is_gateway = role == Role::Gateway;
    platform::require_servers(settings, role.name(), !is_gateway)?;
    let clients = match is_gateway {
        true => ClientKind::Anyone,
        false => ClientKind::Gateways,
    };
    let (port, admin_port) = role.ports();
    let (api, admin) = match port {
        Some(port) => {
            let (api, admin) = settings.http.addresses(port, admin_port)?;
            (Some(Listener::open(api, clients).await?), admin)
        }
        None => (None, settings.http.admin_address(admin_port)),
    };
    let admin = Listener::open(admin, ClientKind::Operators).await?;
    if is_gateway {
        let config = gateway_config(settings);
        let checked = read_at_start(move || gateway::check(&config)).await;
        checked.context("the gateway cannot read its files")??;
    }
    let mut process = Process::new(settings).await?;
    if is_gateway {
        process = process.with_workers()?;
    } else if let Some(listener) = &api {
        settings.http.warn_of_unknown_gateways(listener.address());
    }
    let dependencies = Dependencies::new(settings, role.name());
    process.bus = Some(dependencies.bus().await?);
    if !is_gateway {
        sole_process::lock(settings, &process.background).await?;
    }
    let service = role.start(settings, &dependencies, &process.background).await?;

    let listen = api.as_ref().map(|listener| listener.address().to_string());
    tracing::info!(role = role.name(), listen, admin.listen = %admin.address(), "ready");
    let leaving = api.is_some().then(Arc::default);
    let service = match &leaving {
        Some(leaving) => graceful_shutdown::announced(service, Arc::clone(leaving)),
        None => service,
    };
    let admin = (admin, http_api::admin_of(service.clone()));
    let service = match is_gateway {
        true => http_api::public_of(service),
        false => http_api::believing_only(settings.http.gateway_peers(), service),
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
        access_token_ttl: settings.auth.access_token_lifetime(),
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
