//! Every role in one process: over SQLite files and a bus within the process, or over the servers that are set.

use std::net::SocketAddr;

use anyhow::Context as _;
use gateway::Upstream;
use http_server::HttpService;
use runtime::{Background, private_files, read_at_start};

use crate::{
    data_dir, databases,
    dependencies::Dependencies,
    output,
    role::{self, Role},
    serving::{ClientKind, Listener, Process, until_stopped},
    settings::Settings,
    sole_process,
};

pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    check(settings).await?;
    let mut process = Process::new(settings).await?;
    databases::serve_all_roles()?;
    let storage = &settings.storage;
    let embedded = storage.is_embedded()?;
    let _lock = if embedded { Some(data_dir::lock(&storage.data_dir)?) } else { None };
    let (api, admin) = addresses(settings)?;
    let listener = Listener::open(api, ClientKind::Anyone).await?;
    let admin = Listener::open(admin, ClientKind::Operators).await?;
    let dependencies = Dependencies::new(settings, "taskledger");
    process.bus = Some(dependencies.bus().await?);
    sole_process::lock(settings, &process.background).await?;
    let service = start_roles(settings, &dependencies, &process.background).await?;

    let base = format!("{}://{}", process.scheme(), listener.address());
    greet(settings, &base, admin.address(), embedded);
    let probes = http_api::admin_of(service.clone());
    until_stopped(vec![(listener, http_api::public_of(service)), (admin, probes)], process, None).await
}

/// Checks the settings of all roles before anything is started or created, but for the files of TLS, which the start
/// reads before that, too. A process of one role does not, since it need not have the files of the others.
pub(crate) async fn check(settings: &Settings) -> anyhow::Result<()> {
    let settings = settings.clone();
    read_at_start(move || {
        settings.check()?;
        addresses(&settings)?;
        check_directories(&settings)?;
        gateway::check(&role::gateway_config(&settings))?;
        let config = role::auth_config(&settings);
        auth::check_breached_passwords(&config).context("TASKLEDGER_BREACHED_PASSWORDS")
    })
    .await
    .context("cannot read the files that the settings name")?
}

/// The addresses of the API and of the probes.
fn addresses(settings: &Settings) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    settings.http.addresses(8080, 9090)
}

/// Checks that the directories of the databases and of the keys can be used.
fn check_directories(settings: &Settings) -> anyhow::Result<()> {
    if settings.storage.is_embedded()? {
        data_dir::check(&settings.storage.data_dir).context("TASKLEDGER_DATA_DIR")?;
    }
    let keys = settings.keys_dir();
    private_files::check_place(&keys)
        .with_context(|| format!("TASKLEDGER_KEYS_DIR: cannot use the directory {}", keys.display()))
}

/// Starts all roles, and returns what the gateway serves.
async fn start_roles(
    settings: &Settings,
    dependencies: &Dependencies<'_>,
    background: &Background,
) -> anyhow::Result<HttpService> {
    let start = |role: Role| role.start(settings, dependencies, background);
    let auth = start(Role::Auth).await?;
    let projector = start(Role::Projector).await?;
    let query_api = start(Role::QueryApi).await?;
    let command_api = start(Role::CommandApi).await?;
    let config = gateway::Config {
        command_api: Upstream::InProcess(command_api),
        query_api: Upstream::InProcess(query_api),
        auth: Upstream::InProcess(auth),
        projector: Upstream::InProcess(projector),
        upstream_ca: None,
        policy: settings.http.gateway_config.clone(),
    };
    gateway::start(config, dependencies.verifier(background).await?, background).await
}

fn greet(settings: &Settings, base: &str, admin: SocketAddr, embedded: bool) {
    let storage = &settings.storage;
    let place = if embedded {
        format!("data in {}", storage.data_dir.display())
    } else {
        "data in the servers that DATABASE_URL and EVENT_STORE_URL name".to_owned()
    };
    // Nobody has to read it.
    let _ = output::text(&format!(
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
}
