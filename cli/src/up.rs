//! Every role in one process: over SQLite files and a bus within the process, or over the servers that are set.

use std::net::{Ipv4Addr, SocketAddr};

use database::Schema;
use gateway::Upstream;

use crate::{
    data_dir, databases, platform, role,
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
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = Listener::open(
        settings.http.listen.unwrap_or(loopback(8080)),
        Visitors::Strangers,
    )
    .await?;
    let admin = Listener::open(
        settings.http.admin_listen.unwrap_or(loopback(9090)),
        Visitors::Operators,
    )
    .await?;

    let process = Process::new(settings)?;
    let background = &process.background.clone();
    let log = platform::event_log(settings).await?;
    let bus = platform::bus(storage, "taskledger").await?;
    process.close_at_the_end(&bus);
    let operations = platform::database(storage, Schema::Operations).await?;
    let read_models = platform::database(storage, Schema::ReadModels).await?;
    if storage.amqp_url()?.is_none()
        && let Some(server) = operations.postgres()
    {
        let right = sole_process::take(server).await?;
        background.spawn(
            "right to be the only process",
            sole_process::hold(right, background.stop()),
        );
    }
    let clock = platform::clock();
    let verifier = platform::verifier(bus.clone(), background).await?;

    let auth = auth::start(
        role::auth_config(settings),
        auth::Dependencies {
            store: log.opened.clone(),
            keys: log.keys.clone(),
            bus: bus.clone(),
            read_models: read_models.clone(),
            operations: operations.clone(),
            partitions: storage.partitions,
            clock: clock.clone(),
            metrics: runtime::Metrics::new("auth"),
        },
        background,
    )
    .await?;
    let projector = projector::start(
        role::projector_config(settings),
        projector::Dependencies {
            store: log.opened.clone(),
            bus: bus.clone(),
            read_models: read_models.clone(),
            audit: Some(platform::audit_keeping(settings).await?),
        },
        background,
    )
    .await?;
    let query_api = query_api::start(
        role::query_config(settings)?,
        query_api::Dependencies {
            read_models: read_models.clone(),
            store: log.stored.clone(),
            verifier: verifier.clone(),
            audit_tree: platform::audit_tree(storage).await?,
            clock: clock.clone(),
        },
        background,
    )
    .await?;
    let command_api = command_api::start(
        role::command_config(settings),
        command_api::Dependencies {
            store: log.opened,
            log: log.stored,
            bus,
            operations,
            read_models,
            verifier: verifier.clone(),
            clock,
        },
        background,
    )
    .await?;
    let router = gateway::start(
        gateway::Config {
            command_api: Upstream::InProcess(command_api),
            query_api: Upstream::InProcess(query_api),
            auth: Upstream::InProcess(auth),
            projector: Upstream::InProcess(projector),
            upstream_ca: None,
            policy: settings.http.gateway_config.clone(),
        },
        gateway::Dependencies { verifier },
        background,
    )
    .await?;

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
