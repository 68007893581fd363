//! Starts the release binary on either deployment with data of its own, and removes all data at the end.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    role_process::Role,
    servers::{Database, amqp_url},
};

/// The most permissive policy that the gateway accepts. Tables can follow.
pub(crate) const UNLIMITED: &str = "[unauthenticated]\nrequests = 20000\nper_seconds = 1\nburst = 200000\n";

/// The stores and servers of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// One process on SQLite files.
    Embedded,
    /// Every role as a process of its own over PostgreSQL and RabbitMQ.
    Servers,
}

/// The processes to start and their settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'p> {
    pub(crate) deployment: Deployment,
    /// Number of command APIs, which is used with servers only.
    pub(crate) command_apis: usize,
    /// URL of the log, if it is not in the database.
    pub(crate) event_store: Option<&'p str>,
    /// Whether personal data in events is sealed.
    pub(crate) seal_events: bool,
}

impl Plan<'_> {
    /// One process of each role with default settings.
    pub(crate) const fn of(deployment: Deployment) -> Self {
        Self { deployment, command_apis: 1, event_store: None, seal_events: true }
    }
}

/// A running system.
pub(crate) struct System {
    /// Time from the start of the first process until all are ready.
    pub(crate) started_in: Duration,
    /// Prefix of all names on the broker.
    pub(crate) namespace: String,
    roles: Vec<Role>,
    /// An additional process with settings of its own.
    beside: Option<Role>,
    database: Option<Database>,
    directory: TempDir,
}

impl System {
    /// Starts the roles of `deployment` and waits until they are ready.
    pub(crate) async fn start(deployment: Deployment, binary: &Path) -> anyhow::Result<Self> {
        Self::start_as(Plan::of(deployment), binary).await
    }

    /// Starts what `plan` says and waits until it is ready.
    pub(crate) async fn start_as(plan: Plan<'_>, binary: &Path) -> anyhow::Result<Self> {
        if !binary.exists() {
            bail!("{} is not there: run `cargo build --release` first", binary.display());
        }
        let directory = TempDir::new()?;
        let (database, names) = match plan.deployment {
            Deployment::Embedded => (None, vec!["up"]),
            Deployment::Servers => {
                let mut names = vec!["auth"];
                names.extend(std::iter::repeat_n("command-api", plan.command_apis));
                names.extend(["query-api", "projector", "gateway"]);
                (Some(Database::create().await?), names)
            }
        };
        let ports = names
            .iter()
            .map(|name| Ok((*name, free_port()?, free_port()?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut system = Self {
            started_in: Duration::ZERO,
            namespace: format!("bench-{}", uuid::Uuid::now_v7().simple()),
            roles: Vec::new(),
            beside: None,
            database,
            directory,
        };
        // Limits are raised, since throughput is measured.
        let policy = system.directory.path().join("gateway.toml");
        std::fs::write(&policy, UNLIMITED)?;
        for (name, api, admin) in &ports {
            let mut command = Command::new(binary);
            command
                .arg(name)
                .env("TASKLEDGER_SEAL_EVENTS", plan.seal_events.to_string())
                .env("TASKLEDGER_GATEWAY_CONFIG", &policy)
                .env("TASKLEDGER_ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
            if *name != "projector" {
                command.env("TASKLEDGER_LISTEN", format!("127.0.0.1:{api}"));
            }
            system.configure(&mut command, plan.event_store, &ports);
            system.roles.push(Role::new(
                name,
                format!("127.0.0.1:{api}"),
                format!("127.0.0.1:{admin}"),
                command,
            ));
        }
        let started = Instant::now();
        for role in &mut system.roles {
            role.start()?;
        }
        system.ready().await?;
        system.started_in = started.elapsed();
        Ok(system)
    }

    /// Sets the variables that are the same for every role. `ports` has the name of each role, with its ports for the
    /// API and for probes.
    fn configure(&self, command: &mut Command, event_store: Option<&str>, ports: &[(&str, u16, u16)]) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env("TASKLEDGER_LOG", "warn")
            .env("TASKLEDGER_SECURITY_LOG", self.directory.path().join("security.log"))
            .env("TASKLEDGER_DATA_DIR", self.directory().join("data"))
            .env("TASKLEDGER_BUS_NAMESPACE", &self.namespace);
        let Some(database) = &self.database else {
            for variable in ["DATABASE_URL", "AMQP_URL", "EVENT_STORE_URL"] {
                command.env_remove(variable);
            }
            return;
        };
        command.env("DATABASE_URL", &database.url).env("AMQP_URL", amqp_url());
        if let Some(event_store) = event_store {
            command.env("EVENT_STORE_URL", event_store);
        }
        for name in ["auth", "command-api", "query-api", "projector"] {
            let variable = format!("TASKLEDGER_{}_URL", name.replace('-', "_").to_uppercase());
            let replicas = ports.iter().filter(|(replica, ..)| *replica == name);
            let urls: Vec<String> = replicas
                .map(|(_, api, admin)| if name == "projector" { admin } else { api })
                .map(|port| format!("http://127.0.0.1:{port}"))
                .collect();
            command.env(variable, urls.join(","));
        }
    }

    /// Waits until the gateway says that every role is ready.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        ready(&self.front()).await
    }

    /// The address of the gateway.
    pub(crate) fn front(&self) -> String {
        self.roles.last().map(|role| role.address.clone()).unwrap_or_default()
    }

    /// The address of a role.
    pub(crate) fn address(&self, name: &str) -> String {
        self.role(name).map(|role| role.address.clone()).unwrap_or_default()
    }

    /// The address of every replica of a role.
    pub(crate) fn addresses(&self, name: &str) -> Vec<String> {
        self.roles.iter().filter(|role| role.name == name).map(|role| role.address.clone()).collect()
    }

    pub(crate) fn database_url(&self) -> Option<&str> {
        self.database.as_ref().map(|database| database.url.as_str())
    }

    /// Every role's name and resident memory in MiB.
    pub(crate) fn memory(&self) -> anyhow::Result<Vec<(&'static str, f64)>> {
        self.roles.iter().map(|role| Ok((role.name, role.memory()?))).collect()
    }

    /// The memory in MiB of all processes together, with each page that several of them share counted once.
    pub(crate) fn memory_in_all(&self) -> anyhow::Result<f64> {
        self.roles.iter().map(Role::share_of_memory).sum()
    }

    /// The sum of all samples of a metric, over all replicas of a role.
    pub(crate) async fn metric(&self, role: &str, metric: &str) -> anyhow::Result<f64> {
        let mut samples: Vec<f64> = Vec::new();
        for replica in self.roles.iter().filter(|replica| replica.name == role) {
            let text = get(&replica.admin, "/metrics").await?;
            let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric));
            samples.extend(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()));
        }
        if samples.is_empty() {
            bail!("{role} has no metric {metric}");
        }
        Ok(samples.iter().sum())
    }

    /// The directory of the system's files, which exists until it stops.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts an additional process of a role with these settings, waits until it is ready, and returns its address.
    pub(crate) async fn start_beside(
        &mut self,
        name: &'static str,
        settings: &[(String, String)],
    ) -> anyhow::Result<String> {
        let like = &self.role(name)?.command;
        let mut command = Command::new(like.get_program());
        command.args(like.get_args());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        for (variable, value) in like.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let (address, admin) = (format!("127.0.0.1:{}", free_port()?), format!("127.0.0.1:{}", free_port()?));
        command.env("TASKLEDGER_LISTEN", &address).env("TASKLEDGER_ADMIN_LISTEN", &admin);
        for (variable, value) in settings {
            command.env(variable, value);
        }
        let mut role = Role::new(name, address.clone(), admin, command);
        role.start()?;
        self.beside = Some(role);
        ready(&address).await?;
        Ok(address)
    }

    /// Resident memory of the additional process in MiB.
    pub(crate) fn memory_beside(&self) -> anyhow::Result<f64> {
        self.beside.as_ref().context("nothing runs beside")?.memory()
    }

    /// The part of it that is mapped from files, above all from the program. The operating system can discard it, and
    /// processes share it.
    pub(crate) fn memory_of_files_beside(&self) -> anyhow::Result<f64> {
        self.beside.as_ref().context("nothing runs beside")?.memory_in("RssFile:")
    }

    /// Stops the additional process.
    pub(crate) fn stop_beside(&mut self) -> anyhow::Result<()> {
        match self.beside.take() {
            Some(mut role) => role.stop(),
            None => Ok(()),
        }
    }

    /// Stops the process of a role.
    pub(crate) fn stop_role(&mut self, name: &str) -> anyhow::Result<()> {
        self.role_mut(name)?.stop()
    }

    /// Starts the process of a role that was stopped.
    pub(crate) fn start_role(&mut self, name: &str) -> anyhow::Result<()> {
        self.role_mut(name)?.start()
    }

    /// Stops every process and removes its database.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for role in self.roles.iter_mut().rev() {
            role.stop()?;
        }
        match self.database.take() {
            Some(database) => database.drop().await,
            None => Ok(()),
        }
    }

    fn role(&self, name: &str) -> anyhow::Result<&Role> {
        self.roles.iter().find(|role| role.name == name).with_context(|| format!("no {name}"))
    }

    fn role_mut(&mut self, name: &str) -> anyhow::Result<&mut Role> {
        self.roles.iter_mut().find(|role| role.name == name).with_context(|| format!("no {name}"))
    }
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until the role at `address` says that it is ready.
async fn ready(address: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    while !is_ready(address).await {
        if started.elapsed() > Duration::from_secs(60) {
            bail!("{address} is not ready after a minute");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn is_ready(address: &str) -> bool {
    get(address, "/health/ready").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Sends a `GET` request and returns the head and the body of the answer.
pub(crate) async fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await?;
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
