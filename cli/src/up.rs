//! Every role in one process: over SQLite files and a bus within the process, or over the servers that are set.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use gateway::Upstream;
use runtime::Background;

use crate::{
    data_dir, databases,
    dependencies::Dependencies,
    role,
    serving::{Listener, Process, Visitors, until_stopped},
    settings::Settings,
    sole_process,
};

pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    databases::serve_all_roles()?;
    let storage = &settings.storage;
    let embedded = storage.database_url()?.is_none();
    let _lock = if embedded {
        Some(data_dir::lock(&storage.data_dir)?)
    } else {
        None
    };
    let (listener, admin) = listen(settings).await?;
    let process = Process::new(settings)?;
    let dependencies = Dependencies::new(settings, "taskledger");
    process.close_at_the_end(&dependencies.bus().await?);
    be_the_only_process(settings, &dependencies, &process.background).await?;
    let router = start_roles(settings, &dependencies, &process.background).await?;

    let base = format!("{}://{}", process.scheme(), listener.address());
    greet(settings, &base, admin.address(), embedded)?;
    let probes = http_api::admin_of(router.clone());
    until_stopped(
        vec![(listener, http_api::public_of(router)), (admin, probes)],
        process,
        None,
    )
    .await
}

/// Opens the addresses of the API and of the probes.
async fn listen(settings: &Settings) -> anyhow::Result<(Listener, Listener)> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let api = settings.http.listen.unwrap_or(loopback(8080));
    let admin = settings.http.admin_listen.unwrap_or(loopback(9090));
    Ok((
        Listener::open(api, Visitors::Strangers).await?,
        Listener::open(admin, Visitors::Operators).await?,
    ))
}

/// With a bus within this process nobody else may work on its databases. A server of them lets only one process do so; files are
/// locked already.
async fn be_the_only_process(
    settings: &Settings,
    dependencies: &Dependencies<'_>,
    background: &Background,
) -> anyhow::Result<()> {
    let operations = dependencies.operations().await?;
    if settings.storage.amqp_url()?.is_none()
        && let Some(server) = operations.postgres()
    {
        sole_process::hold(sole_process::take(server).await?, background);
    }
    Ok(())
}

/// Starts all roles, and returns what the gateway serves.
async fn start_roles(
    settings: &Settings,
    dependencies: &Dependencies<'_>,
    background: &Background,
) -> anyhow::Result<Router> {
    let auth = auth::start(
        role::auth_config(settings),
        dependencies.auth().await?,
        background,
    )
    .await?;
    let projector = projector::start(
        role::projector_config(settings),
        dependencies.projector().await?,
        background,
    )
    .await?;
    let query_api = query_api::start(
        role::query_config(settings)?,
        dependencies.query_api(background).await?,
        background,
    )
    .await?;
    let command_api = command_api::start(
        role::command_config(settings),
        dependencies.command_api(background).await?,
        background,
    )
    .await?;
    let config = gateway::Config {
        command_api: Upstream::InProcess(command_api),
        query_api: Upstream::InProcess(query_api),
        auth: Upstream::InProcess(auth),
        projector: Upstream::InProcess(projector),
        upstream_ca: None,
        policy: settings.http.gateway_config.clone(),
    };
    gateway::start(config, dependencies.gateway(background).await?, background).await
}

fn greet(settings: &Settings, base: &str, admin: SocketAddr, embedded: bool) -> anyhow::Result<()> {
    let storage = &settings.storage;
    let place = if embedded {
        format!("data in {}", storage.data_dir.display())
    } else {
        "data in the servers that DATABASE_URL and EVENT_STORE_URL name".to_owned()
    };
    crate::print(&format!(
        "Taskledger {version} is ready on {base}  ({place}; probes and metrics on http://{admin})\n\
         \n\
         Register, log in, create a task:\n\
         \n  \
         curl -s {base}/auth/register -H 'Content-Type: application/json' \\\n       \
         -d '{{\"email\":\"ada@example.org\",\"password\":\"correct horse battery\"}}'\n  \
         TOKEN=$(curl -s {base}/auth/login -H 'Content-Type: application/json' \\\n       \
         -d '{{\"email\":\"ada@example.org\",\"password\":\"correct horse battery\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n  \
         curl -s {base}/tasks -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n       \
         -d '{{\"title\":\"Write the first event\"}}'\n  \
         curl -s {base}/tasks -H \"Authorization: Bearer $TOKEN\"\n\
         \n\
         Ctrl-C stops it. What was accepted is kept.\n",
        version = env!("CARGO_PKG_VERSION"),
    ));
    Ok(())
}
